"""What a search came to: as a document, and as the report that people read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...core import ModelArtifact
from ...runtime import environment_fingerprint
from ..chain import MODEL
from ..documents import plain
from ..layers import layers_of
from ..report import Layer, Measured, Point, RunReport, SkippedItem, Stage, environment_of
from ..report import report_of as report_of_comparison
from ..workspace import StepRecord
from .candidates import Candidate, Plan, pareto_front
from .decision import ORIGINAL, Decision
from .workshop import Subject

SCHEMA = "sardonyx.optimize/1"
"""Names the form of the document."""

_BEFORE = "float"
"""What the winner was before it was quantized."""


def document_of(
    taken: Candidate | None,
    decision: Decision,
    front: Sequence[Candidate],
    tried: Sequence[Candidate],
    *,
    is_complete: bool,
) -> dict[str, Any]:
    """The search for JSON.

    Args:
        taken: The candidate that is the result; None where there is none.
        decision: Why.
        front: The candidates that none beats.
        tried: All candidates.
        is_complete: Whether there was time for the whole of the first look.
    """
    return {
        "schema": SCHEMA,
        "taken": None if taken is None else _row(taken),
        "reason": decision.reason,
        "front": [candidate.name for candidate in front],
        "tried": [_row(candidate) for candidate in tried],
        "comparison": plain(decision.comparison),
        "is_complete": is_complete,
    }


def report_of(
    subject: Subject,
    decision: Decision,
    tried: Sequence[Candidate],
    seconds: float,
    command: str,
    refused: Mapping[Plan, str],
) -> RunReport:
    """The report of a search: the original and the finalists, and all that was tried.

    Args:
        subject: What the search was about.
        decision: What was decided.
        tried: All candidates.
        seconds: How long the search took.
        command: The command line.
        refused: Plans that could not be carried out, and why.
    """
    title = f"The fastest {subject.original.name or 'model'} within {subject.options.max_drop:g}"
    if decision.comparison is None:
        base = _without_comparison(subject, title)
    else:
        base = report_of_comparison(decision.comparison, title=title)
    taken = decision.taken
    stages = [replace(stage, kind=_kind(stage.name)) for stage in base.stages]
    stages[0] = replace(stages[0], seconds=seconds, notes=(decision.reason, f"{len(tried)} candidates tried"))
    return replace(
        base,
        stages=tuple(stages),
        chosen=ORIGINAL if taken is None else taken.name,
        skipped=(*_left_alone(taken), *_refusals(refused)),
        provenance={
            **base.provenance,
            "model sha256": subject.original.sha256,
            "calibration": f"{len(subject.data)} samples of {subject.data.origin}",
            "calibration sha256": subject.data.fingerprint,
            "seed": str(subject.options.seed),
            "target": subject.target.name,
        },
        layers=_layers(taken),
        command=command,
        points=tuple(_points(subject, decision, tried)),
        budget_drop=subject.options.max_drop,
    )


def _layers(taken: Candidate | None) -> tuple[Layer, ...]:
    """The winner's layers, as the report of a run shows them."""
    if taken is None:
        return ()
    before = taken.file.parents[1] / taken.plan.in_float.name / MODEL
    graphs = {_BEFORE: ModelArtifact.open(before), taken.name: ModelArtifact.open(taken.file)}
    records = [
        StepRecord(kind, kind, "", taken.file.parent, {}, figures, 0.0)
        for kind, figures in (
            ("prune", {"report": taken.figures.get("prune")}),
            ("quantize", {"source": _BEFORE, **taken.figures.get("quantize", {})}),
        )
        if kind in taken.figures
    ]
    return layers_of(graphs, records, {})


def _points(subject: Subject, decision: Decision, tried: Sequence[Candidate]) -> Iterator[Point]:
    """All that was tried; the speed of the finalists is that of the long measurement."""
    long = (
        {} if decision.comparison is None else {row.model: row.latency[0] for row in decision.comparison.rows}
    )
    front = {candidate.name for candidate in pareto_front(tried)}
    for candidate in tried:
        row = long.get(candidate.name)
        speed = (
            Measured(candidate.speed_ratio, candidate.speed_low_ratio, candidate.speed_high_ratio)
            if row is None
            else Measured(row.speed_ratio, row.speed_low_ratio, row.speed_high_ratio)
        )
        held = candidate.holds(subject.options.max_drop, subject.options.max_bytes)
        yield Point(
            name=candidate.name,
            speed_ratio=speed,
            accuracy=Measured(candidate.accuracy.value, candidate.accuracy.low, candidate.accuracy.high),
            size_bytes=candidate.size_bytes,
            taken=candidate is decision.taken,
            on_front=candidate.name in front,
            note=f"{'inside' if held else 'outside'} the budget, lost {candidate.lost:.4f}",
        )


def _row(candidate: Candidate) -> dict[str, Any]:
    row: dict[str, Any] = plain(replace(candidate, figures={}))
    return {**{k: v for k, v in row.items() if k != "figures"}, "name": candidate.name}


def _without_comparison(subject: Subject, title: str) -> RunReport:
    before = subject.judge.before
    stage = Stage(
        name=ORIGINAL,
        size_bytes=subject.original.size_bytes,
        accuracy=Measured(before.value, before.low, before.high, before.method),
    )
    return RunReport(
        title=title,
        metric=before.metric,
        stages=(stage,),
        higher_is_better=before.higher_is_better,
        environment=environment_of(environment_fingerprint()),
    )


def _kind(name: str) -> str:
    return "start" if name == ORIGINAL else "candidate"


def _left_alone(taken: Candidate | None) -> Iterator[SkippedItem]:
    """Why what stayed whole or float in the winner did."""
    for step in ("prune", "quantize"):
        figures = {} if taken is None else taken.figures.get(step, {})
        for skip in figures.get("report", figures).get("skipped", ()):
            yield SkippedItem(step, skip["node"], skip["code"], skip["text"])


def _refusals(refused: Mapping[Plan, str]) -> Iterator[SkippedItem]:
    for plan, cause in refused.items():
        yield SkippedItem("search", plan.name, "not-possible", cause)
