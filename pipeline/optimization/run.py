"""The one command: find the fastest model that an accuracy budget allows, and prove it."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ...calib_data import CalibrationData
from ...core import ModelArtifact
from ...core.errors import ExpectationError, UsageError
from ...core.files import write_atomic
from ...core.targets import Target, get_target
from ...passes.pruning import PruneOptions
from ...runtime.feeds import fixed_batch
from ...runtime.providers import choose_provider, current_offer
from ..chain import MODEL
from ..documents import json_bytes
from ..drop_budget import Judge
from ..monitor import Monitor, Silent
from ..opening import ModelLike, as_model, clean
from ..report import RunReport, render_html
from ..workspace import MANIFEST, identity_of
from .candidates import Candidate, Plan, pareto_front
from .decision import Decision, decide
from .folder import held_folder
from .ledger import Ledger, require_optuna
from .options import FOR_SKIPS, OptimizeOptions
from .outcome import document_of, report_of
from .paths import SKIPPED, CutPath, path_options
from .search import Search, precisions_of
from .skips import SKIPS, SkipPath
from .times import times_of
from .workshop import Subject, Workshop

_LOST_BEYOND = 25.0
"""A path ends where a cut that is not yet fitted has lost so many times what may be lost."""

_LOST_AT_LEAST = 0.25

_FOR_DECIDING = 0.15
"""Share of the time that is kept for the last measurement, at most a minute."""


@dataclass(frozen=True)
class Optimized:
    """What a search gives.

    Attributes:
        folder: Where everything is.
        model: The result.
        taken: How it was made, and what was measured.
        decision: Why it was taken.
        front: The candidates that none beats in speed without losing more, the fastest first.
        tried: All candidates, in the order in which they were made.
        report: The report of the search.
        is_complete: Whether there was time for the whole of the first look.
    """

    folder: Path
    model: ModelArtifact
    taken: Candidate
    decision: Decision
    front: tuple[Candidate, ...]
    tried: tuple[Candidate, ...]
    report: RunReport
    is_complete: bool

    def summary(self) -> dict[str, Any]:
        """The search for JSON."""
        return document_of(self.taken, self.decision, self.front, self.tried, is_complete=self.is_complete)


class NothingGainedError(ExpectationError):
    """No candidate is better than the original, or fast enough.

    Args:
        cause: Why, in a line.
        remedy: What to do, in a line.
        summary: The search for JSON.
    """

    def __init__(self, cause: str, remedy: str, summary: dict[str, Any]) -> None:
        super().__init__(cause, remedy=remedy)
        self.summary = summary


def optimize(
    model: ModelLike,
    data: CalibrationData,
    evaluation: CalibrationData,
    folder: str | Path,
    *,
    options: OptimizeOptions,
    target: str | Target = "auto",
    storage: str | None = None,
    resume: bool = False,
    force: bool = False,
    monitor: Monitor | None = None,
    command: str = "",
) -> Optimized:
    """Find the fastest model that an accuracy budget allows.

    Widths, repair, quantization and what stays in float are searched together: a path of cuts is walked once, and along
    it the deepest cut inside the budget is looked for, in float and in integers. Candidates are kept in the folder, so
    that a killed search goes on where it was, and that several processes share one. The result is never worse than the
    original: it is faster by more than the machine's noise and inside the budget, or there is none.

    Args:
        model: The float model.
        data: Samples to cut and to calibrate with.
        evaluation: Other samples that the metric is measured on.
        folder: The folder to fill: the winner is ``model.onnx``.
        options: The budget, and how it is measured.
        target: What the model is made for.
        storage: Where the study is kept that several processes share, a URL that optuna knows; in the folder where
            None.
        resume: Whether to go on with an earlier search, or to join one that is running.
        force: Whether to forget an earlier search.
        monitor: Is told how it goes on.
        command: The command line, for the report.

    Raises:
        NothingGainedError: Nothing is better than the original, or fast enough; the report says why.
        UsageError: The folder holds something else, an earlier search, or one that is running and would be forgotten.
        MissingExtraError: optuna is not installed.
        ProviderError: The provider is not there.
    """
    monitor, start = monitor or Silent(), time.monotonic()
    subject = _subject(as_model(model, monitor), data, evaluation, options, target)
    _check(subject)
    with held_folder(Path(folder), monitor, resume=resume, force=force) as place:
        ways = _ways(subject, monitor)
        study = identity_of({"search": subject.words})
        ledger = Ledger(
            place,
            study,
            storage,
            paths=tuple(ways),
            precisions=precisions_of(subject.target),
            max_drop=options.max_drop,
            seed=options.seed,
        )
        workshop = Workshop(subject, ways, place, ledger, monitor)
        _connect(workshop, ways)
        search = Search(
            workshop, ledger, options, subject.target, monitor, time.monotonic, _deadline(start, options)
        )
        complete = search.run(can_heal=importlib.util.find_spec("torch") is not None)
        decision = decide(subject.original, workshop.made, evaluation, options, monitor)
        return _finish(place, subject, workshop, decision, start, command, complete=complete)


def _subject(
    original: ModelArtifact,
    data: CalibrationData,
    evaluation: CalibrationData,
    options: OptimizeOptions,
    target: str | Target,
) -> Subject:
    source, _ = clean(original)
    aim = get_target(target) if isinstance(target, str) else target
    judge = Judge(original, evaluation, options.metric, options.threads)
    return Subject(original, source, data.for_model(source.inputs), judge, aim, options)


def _check(subject: Subject) -> None:
    """Find out what is missing before anything is written.

    Raises:
        MissingExtraError: optuna is not installed.
        ProviderError: The provider is not there.
        UsageError: The model does not take the batch.
        DataError: The samples do not fit, or have no labels where the metric needs them.
    """
    require_optuna()
    choose_provider(subject.options.provider, current_offer())
    own = fixed_batch(subject.source, subject.data)
    if own not in {None, subject.options.batch}:
        raise UsageError(
            f"the model takes a batch of {own} only, not {subject.options.batch}",
            remedy=f"give --batch {own}",
        )
    _ = subject.judge.before


def _ways(subject: Subject, monitor: Monitor) -> dict[str, CutPath | SkipPath]:
    """The ways that are worth a walk; branches are skipped before one that begins where they are gone."""
    source, data, options, target = subject.source, subject.data, subject.options, subject.target
    judge = subject.judge
    bound = max(_LOST_BEYOND * options.max_drop, _LOST_AT_LEAST * abs(judge.before.value))

    def is_lost(model: ModelArtifact) -> bool:
        return judge.lost(judge.measure(model)) > bound

    asked = path_options(source, data, target, options, timed=_is_timed(subject))
    paths = {
        name: CutPath(name, source, data, target, words, monitor, is_lost) for name, words in asked.items()
    }
    if SKIPPED not in paths:
        return dict(paths)
    skips = SkipPath(SKIPS, source, data, monitor, options.exclude, options.seed)
    return {SKIPS: skips, **paths}


def _is_timed(subject: Subject) -> bool:
    """Whether a table of times says what a layer costs."""
    return subject.target.is_cpu and subject.options.provider == "cpu"


def _connect(workshop: Workshop, ways: Mapping[str, CutPath | SkipPath]) -> None:
    """Tell the ways what they find out in the workshop: times, and what to begin with."""
    for way in ways.values():
        if isinstance(way, CutPath):
            way.times = partial(times_of, workshop, way.options)
            way.begins = partial(_skipped, workshop) if way.name == SKIPPED else None
        elif _is_timed(workshop.subject):
            way.times = partial(times_of, workshop, PruneOptions(time=1.0, exclude=way.exclude))


def _skipped(workshop: Workshop) -> tuple[ModelArtifact, dict[str, Any]] | None:
    """The model with as many branches skipped as a part of the budget allows; None where it allows none."""
    allowed = FOR_SKIPS * workshop.subject.options.max_drop
    if workshop.depth(SKIPS):
        workshop.candidate(Plan(SKIPS, 1))
    inside = [
        candidate
        for candidate in workshop.made
        if candidate.plan == Plan(SKIPS, candidate.plan.depth) and candidate.holds(allowed)
    ]
    if not inside:
        return None
    best = max(inside, key=lambda candidate: candidate.plan.depth)
    workshop.monitor.note(f"path {SKIPPED} begins at {best.name}")
    return ModelArtifact.open(best.file), {"skip": best.figures["skip"]}


def _deadline(start: float, options: OptimizeOptions) -> float | None:
    if options.seconds is None:
        return None
    return start + options.seconds - min(_FOR_DECIDING * options.seconds, 60.0)


def _finish(
    place: Path,
    subject: Subject,
    workshop: Workshop,
    decision: Decision,
    start: float,
    command: str,
    *,
    complete: bool,
) -> Optimized:
    """Write the report, and the model where there is one."""
    taken = decision.taken
    tried = workshop.made
    front = pareto_front([c for c in tried if c.lost <= subject.options.max_drop])
    report = report_of(subject, decision, tried, time.monotonic() - start, command, workshop.refused)
    summary = document_of(taken, decision, front, tried, is_complete=complete)
    write_atomic(place / "report.json", json_bytes(report))
    write_atomic(place / "report.html", render_html(report).encode("utf8"))
    unmet = _unmet(decision, subject.options)
    if taken is None or unmet is not None:
        cause, remedy = unmet or (decision.reason, _remedy(subject.options))
        raise NothingGainedError(cause, f"{remedy}; {place / 'report.html'} has the reasons", summary)
    model = ModelArtifact.open(taken.file).save(place / MODEL, force=True)
    write_atomic(place / MANIFEST, json_bytes({"model": {"file": MODEL, "sha256": model.sha256}, **summary}))
    return Optimized(place, model, taken, decision, front, tried, report, complete)


def _unmet(decision: Decision, options: OptimizeOptions) -> tuple[str, str] | None:
    """What was asked for and not reached, where a candidate was taken."""
    if decision.taken is None or decision.comparison is None or options.min_speedup is None:
        return None
    row = decision.comparison.row(decision.taken.name).latency[0]
    if row.speed_ratio >= options.min_speedup:
        return None
    return (
        f"the fastest inside the budget runs at {row.speed_ratio:.2f}x, not {options.min_speedup:g}x",
        "allow a larger --max-drop, give --time for healing, or more samples",
    )


def _remedy(options: OptimizeOptions) -> str:
    if options.seconds is None:
        return "keep the original, allow a larger --max-drop, or give --time for healing"
    return "keep the original, or allow a larger --max-drop or more --time"
