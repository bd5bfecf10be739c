"""Where plans become models: each is made once, measured, and kept in the folder of the search."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ...calib_data import CalibrationData
from ...core import ModelArtifact
from ...core.errors import ExpectationError, InputError, UsageError
from ...core.metrics import measure_graph
from ...core.targets import Target
from ...runtime import Accuracy, LatencyOptions, measure_latency
from ..chain import MODEL
from ..documents import plain
from ..drop_budget import Judge
from ..monitor import Monitor
from ..quantization import quantize
from ..workspace import STEPS, StepRecord, finished_step, identity_of, write_step
from .candidates import UNCUT, Candidate, Plan
from .ledger import Ledger
from .options import OptimizeOptions
from .paths import Way

_GLANCE_SECONDS = 4.0
"""Time to say how fast a candidate is: enough to choose by, not to prove anything."""

_WAIT_S = 1.0
_REFUSED = "refused"


@dataclass(frozen=True)
class Subject:
    """What a search is about.

    Attributes:
        original: The model as it was given.
        source: The same, clean.
        data: Samples to cut and to calibrate with.
        judge: Says what a model loses.
        target: What the model is made for.
        options: The budget.
    """

    original: ModelArtifact
    source: ModelArtifact
    data: CalibrationData
    judge: Judge
    target: Target
    options: OptimizeOptions

    @cached_property
    def params(self) -> int:
        """Parameters of the original."""
        return _params(self.original)

    @property
    def words(self) -> dict[str, Any]:
        """All that decides what any plan comes to."""
        options, judged = self.options, self.judge.data
        return {
            "model": self.original.sha256,
            "samples": self.data.fingerprint,
            "evaluation": None if judged is None else judged.fingerprint,
            "metric": options.metric,
            "target": self.target,
            "timing": [options.provider, options.batch, options.threads],
            "exclude": options.exclude,
            "seed": options.seed,
        }


@dataclass
class Workshop:
    """Makes candidates, or finds those that were made.

    Attributes:
        subject: What the search is about.
        paths: The paths of cuts, by name.
        folder: The folder of the search.
        ledger: What was tried, by whomever.
        monitor: Is told of each candidate.
        refused: Plans that could not be carried out, and why.
    """

    subject: Subject
    paths: Mapping[str, Way]
    folder: Path
    ledger: Ledger
    monitor: Monitor
    refused: dict[Plan, str] = field(default_factory=dict)
    _made: dict[Plan, Candidate] = field(default_factory=dict)

    @property
    def made(self) -> tuple[Candidate, ...]:
        """All candidates so far."""
        return tuple(self._made.values())

    def depth(self, path: str) -> int:
        """Rounds of a path; walked only where no earlier search has.

        A walk may ask for candidates. A search that goes on takes up those as well: it must choose among the same.
        """
        folder = self.folder / STEPS / f"path-{path}"
        identity = identity_of({"path": path, **self.subject.words})
        found = finished_step(folder, identity)
        if not isinstance(found, StepRecord):
            found = write_step(
                folder,
                path,
                "path",
                identity,
                lambda aside: self._walk(path),
                time.monotonic,
            )
        for words in found.figures.get("asked", ()):
            self.candidate(Plan(**words))
        return int(found.figures["depth"])

    def _walk(self, path: str) -> dict[str, Any]:
        known = set(self._made)
        depth = self.paths[path].depth
        return {"depth": depth, "asked": [asdict(plan) for plan in self._made if plan not in known]}

    def candidate(self, plan: Plan) -> Candidate | None:
        """A plan's candidate; None where the plan cannot be carried out, and :attr:`refused` says why.

        What the plan begins with is a candidate too, whether the plan is carried out now or has been before.
        """
        if plan in self._made or plan in self.refused:
            return self._made.get(plan)
        if plan.earlier is not None:
            self.candidate(plan.earlier)
        found = self._record(plan)
        if (cause := found.figures.get(_REFUSED)) is not None:
            self.refused[plan] = cause
            self.monitor.note(f"{plan.name}: not possible: {cause}")
            return None
        self._made[plan] = candidate = _candidate(plan, found)
        self.monitor.note(_in_words(candidate, self.subject.options, reused=found.reused))
        return candidate

    def _record(self, plan: Plan) -> StepRecord:
        """What became of a plan: read where somebody has carried it out, or carried out now."""
        folder, identity = (
            self.folder / STEPS / plan.name,
            identity_of({"plan": plan, **self.subject.words}),
        )
        found = finished_step(folder, identity)
        while not isinstance(found, StepRecord) and self.ledger.is_taken(plan):
            time.sleep(_WAIT_S)
            found = finished_step(folder, identity)
        if isinstance(found, StepRecord):
            return found
        with self.ledger.taking_up(plan):
            record = write_step(
                folder,
                plan.name,
                "candidate",
                identity,
                lambda aside: self._work(plan, aside),
                time.monotonic,
            )
        if _REFUSED not in record.figures:
            self.ledger.record(_candidate(plan, record))
        return record

    def _work(self, plan: Plan, folder: Path) -> Mapping[str, Any]:
        try:
            model, figures = self._make(plan)
        except (ExpectationError, InputError, UsageError) as error:
            return {_REFUSED: error.cause}
        saved = model.save(folder / MODEL)
        return {**figures, **self._measure(saved), "sha256": saved.sha256}

    def _make(self, plan: Plan) -> tuple[ModelArtifact, dict[str, Any]]:
        """The model of a plan, and what its last step reported."""
        if plan.precision != "float32":
            return self._quantized(plan)
        if plan.healed:
            return self._healed(plan)
        if plan.path == UNCUT or plan.depth == 0:
            return self.subject.source, {}
        return self.paths[plan.path].cut(plan.depth)

    def _before(self, plan: Plan) -> tuple[ModelArtifact, dict[str, Any]]:
        """The model that a plan begins with, and what its own steps reported."""
        earlier = plan.earlier or Plan()
        before = self.candidate(earlier)
        if before is None:
            raise ExpectationError(self.refused[earlier], remedy="see what that plan needs")
        kept = {key: value for key, value in before.figures.items() if key in {"skip", "prune", "heal"}}
        return ModelArtifact.open(before.file), kept

    def _quantized(self, plan: Plan) -> tuple[ModelArtifact, dict[str, Any]]:
        subject, options = self.subject, self.subject.options
        before, kept = self._before(plan)
        if plan.precision == "float16":
            words: dict[str, Any] = {"precision": "float16"}
        else:
            words = {
                "method": None if plan.method == "default" else plan.method,
                "measure": plan.precision == "int8-fastest",
                "batch": options.batch,
                "threads": options.threads,
            }
        made = quantize(
            before,
            subject.data,
            target=subject.target,
            exclude=options.exclude,
            seed=options.seed,
            monitor=self.monitor,
            **words,
        )
        if not made.report.applied:
            raise ExpectationError("nothing in it is faster in integers", remedy="keep it in float")
        return made.model, {**kept, "quantize": plain(made.summary())}

    def _healed(self, plan: Plan) -> tuple[ModelArtifact, dict[str, Any]]:
        from ...training.healing import HealOptions
        from ..healing import heal

        subject = self.subject
        before, kept = self._before(plan)
        made = heal(
            before,
            subject.source,
            subject.data,
            options=HealOptions(epochs=_heal_epochs(len(subject.data)), seed=subject.options.seed),
            monitor=self.monitor,
        )
        return made.model, {**kept, "heal": plain(made.summary())}

    def _measure(self, model: ModelArtifact) -> dict[str, Any]:
        subject, options = self.subject, self.subject.options
        accuracy = subject.judge.measure(model)
        timing = LatencyOptions(
            batches=(options.batch,),
            threads=options.threads,
            provider=options.provider,
            seconds=_GLANCE_SECONDS,
            seed=options.seed,
        )
        report = measure_latency({"original": subject.original, "candidate": model}, subject.data, timing)
        row = report.row_of("candidate", options.batch)
        return {
            "accuracy": accuracy,
            "lost": subject.judge.lost(accuracy),
            "speed": [row.speed_ratio, row.speed_low_ratio, row.speed_high_ratio],
            "size_bytes": model.size_bytes,
            "params_ratio": _params(model) / max(subject.params, 1),
        }


_HEAL_STEPS = 240
_HEAL_BATCH = 128


def _heal_epochs(samples: int) -> int:
    """Epochs that make a few hundred steps, however few samples there are."""
    return max(2, -(-_HEAL_STEPS * _HEAL_BATCH // max(samples, 1)))


def _params(model: ModelArtifact) -> int:
    return measure_graph(model.load()).params


def _candidate(plan: Plan, record: StepRecord) -> Candidate:
    figures = dict(record.figures)
    accuracy = figures.pop("accuracy")
    speed = figures.pop("speed")
    return Candidate(
        plan=plan,
        file=record.folder / MODEL,
        sha256=figures.pop("sha256"),
        size_bytes=figures.pop("size_bytes"),
        accuracy=Accuracy(
            **{**accuracy, "outputs": tuple(accuracy["outputs"]), "notes": tuple(accuracy["notes"])}
        ),
        lost=figures.pop("lost"),
        speed_ratio=speed[0],
        speed_low_ratio=speed[1],
        speed_high_ratio=speed[2],
        params_ratio=figures.pop("params_ratio"),
        figures=figures,
    )


def _in_words(candidate: Candidate, options: OptimizeOptions, *, reused: bool) -> str:
    held = "inside" if candidate.holds(options.max_drop, options.max_bytes) else "outside"
    again = ", known from before" if reused else ""
    return (
        f"{candidate.name}: {candidate.speed_ratio:.2f}x, {options.metric} {candidate.accuracy.value:.4f} "
        f"(lost {candidate.lost:.4f}), {held} the budget{again}"
    )
