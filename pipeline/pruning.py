"""Pruning a model file: cleanup, the budget (measured latency too), the cut, and the proof."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy.typing as npt

from ..calib_data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import UsageError
from ..core.reports import PassReport
from ..core.targets import Target, get_target
from ..passes.pruning import (
    WITHOUT_SAMPLES,
    NeuronView,
    Pattern,
    PruneOptions,
    PrunePlan,
    PruneReport,
    TimeTable,
)
from ..passes.pruning import prune as prune_graph
from ..runtime.custom_metric import is_custom, load_function
from ..runtime.feeds import feed_of, fixed_batch
from .latency_budget import LatencyBudget, Trial, check_wanted, search_latency
from .monitor import Monitor, Silent
from .opening import ModelLike, as_model, clean
from .time_table import time_table

if TYPE_CHECKING:
    from typing_extensions import Unpack

_TRIAL_STEPS = 1
"""Rounds of a cut that is made only to be timed: widths decide the time, not the weights in them."""


_PROOF_SAMPLES = 16

_BUDGET_WORDS = ("params", "macs", "bytes", "latency", "ratio", "plan")


@dataclass(frozen=True)
class Pruned:
    """What pruning gives.

    Attributes:
        model: The model, in memory.
        report: The plan, the proof, and a reason for all that stayed.
        cleanup: What was cleaned up before.
        latency: What was measured where latency was the budget.
    """

    model: ModelArtifact
    report: PruneReport
    cleanup: PassReport
    latency: LatencyBudget | None = None

    def save(self, path: str | Path, *, force: bool = False) -> ModelArtifact:
        """Write the model; see :meth:`~sardonyx.core.ModelArtifact.save`."""
        return self.model.save(Path(path), force=force)

    def summary(self) -> dict[str, Any]:
        """Model and reports, for JSON."""
        return {
            "sha256": self.model.sha256,
            "size_bytes": self.model.size_bytes,
            "report": self.report,
            "cleanup": self.cleanup,
            "latency": self.latency,
        }


@dataclass(frozen=True)
class _Request:
    """One pruning."""

    source: ModelArtifact
    data: CalibrationData | None
    target: Target
    options: PruneOptions
    monitor: Monitor
    plan_only: bool = False
    table: TimeTable | None = None

    def cut(self, **changes: Any) -> tuple[ModelArtifact, PruneReport]:
        """Prune, with some options changed."""
        with self.monitor.progress("pruning") as progress:
            outcome = prune_graph(
                self.source.load(),
                self.data,
                replace(self.options, **changes),
                target=self.target,
                progress=progress,
                plan_only=self.plan_only,
                table=self.table,
            )
        return ModelArtifact.of(outcome.model), outcome.report


class PruneWords(TypedDict, total=False):
    """What :func:`prune` can be told, beside the model and the samples.

    Attributes:
        params: Share of the parameters that stays.
        macs: Share of the multiply-accumulates that stays.
        bytes: Share of the stored bytes that stays.
        latency: Share of the time that stays, measured on this machine in turns with the uncut model.
        ratio: Share of the neurons cut, in each group.
        plan: A plan that was made before, here or on another model of the same shape.
        criterion: One of :data:`~sardonyx.passes.pruning.CRITERIA`, ``file.py:function``, or a function that takes a
            :class:`~sardonyx.passes.pruning.NeuronView` and returns scores; the smallest go first.
        scope: ``global`` lets groups compete, ``local`` cuts all alike, ``isomorphic`` lets groups of one kind
            compete and cuts every kind alike.
        align: Widths are kept at multiples of this; ``auto`` takes the target's.
        granularity: ``structured``; or for single weights ``unstructured``, ``n:m`` such as ``2:4``, which is its own
            budget, or ``block:RxC`` such as ``block:4x1``.
        compensate: Whether what is left is repaired in closed form.
        approximate: Whether neurons may go over which a LayerNormalization or a mean runs.
        exclude: Globs over names that are left alone.
        min_width: Fewest neurons that a group keeps.
        steps: Rounds of collecting, cutting and repairing.
        max_error: Cutting stops before the outputs on held-out samples differ by more than this share of their
            variance; 0.25 for the criterion ``output``.
        seed: Seed of every random choice.
    """

    params: float | None
    macs: float | None
    bytes: float | None
    latency: float | None
    ratio: float | None
    plan: PrunePlan | None
    criterion: str | Callable[[NeuronView], npt.ArrayLike]
    scope: Literal["global", "local", "isomorphic"]
    align: int | Literal["auto"]
    granularity: str
    compensate: bool
    approximate: bool
    exclude: tuple[str, ...] | list[str]
    min_width: int
    steps: int
    max_error: float | None
    seed: int


def prune(
    model: ModelLike,
    data: CalibrationData | None = None,
    *,
    target: str | Target = "auto",
    batch: int = 1,
    threads: int = 0,
    plan_only: bool = False,
    monitor: Monitor | None = None,
    **words: Unpack[PruneWords],
) -> Pruned:
    """Cut the neurons that a model does not need, and prove that nothing else changed.

    Args:
        model: The model.
        data: Samples; ``magnitude`` and ``random`` without compensation can do without.
        target: What the model is made for.
        batch: Batch size that ``latency`` is timed at.
        threads: Threads that it is timed with.
        plan_only: Whether to plan and cut nothing.
        monitor: Is told how work goes on.
        words: What to cut and how much: one budget, and whatever else :class:`PruneWords` holds.

    Returns:
        The model, in memory, and what was done.

    Raises:
        UsageError: Not exactly one budget is given, or one is out of range.
        ExpectationError: The proof fails, or no cut is fast enough.
        DataError: The samples do not fit the model.
    """
    latency = words.get("latency")
    options = _options(words)
    aim = get_target(target) if isinstance(target, str) else target
    cleaned, cleanup = clean(as_model(model, monitor))
    bound = _bound(cleaned, data, options)
    request = _Request(cleaned, bound, aim, options, monitor or Silent(), plan_only)
    for note in () if bound is None else bound.notes:
        request.monitor.note(note)
    if latency is not None:
        request = _timed(request, batch, threads)
    if latency is None or plan_only:
        return Pruned(*request.cut(), cleanup)
    trial, found = _fit_latency(request, latency, batch, threads)
    return Pruned(trial.model, trial.report, cleanup, found)


def _options(words: PruneWords) -> PruneOptions:
    """The words as options; a function is loaded from its file."""
    budget = budget_of(words)
    given: dict[str, Any] = {name: value for name, value in words.items() if name not in _BUDGET_WORDS}
    criterion = given.get("criterion")
    if isinstance(criterion, str) and is_custom(criterion):
        given["criterion"] = load_function(criterion)
    return PruneOptions(**budget, **{**given, "exclude": tuple(given.get("exclude", ()))})


def budget_of(words: Mapping[str, Any]) -> dict[str, Any]:
    """The one budget of a pruning: a latency is a budget of time, and n:m is a budget itself.

    Args:
        words: What :class:`PruneWords` holds.

    Raises:
        UsageError: The granularity is unknown, or there is no budget, or more than one.
    """
    given = {name: words.get(name) for name in _BUDGET_WORDS}
    pattern = Pattern.parse(words.get("granularity", "structured"))
    if pattern is not None and pattern.keep and given["params"] is None and given["ratio"] is None:
        given["ratio"] = 1 - pattern.keep / pattern.group
    return _only_budget(**given)


def _only_budget(**budgets: Any) -> dict[str, Any]:
    """The one budget that is given; a latency is a budget of time, which a table of layer times predicts.

    Raises:
        UsageError: None is given, or several.
    """
    given = {name: value for name, value in budgets.items() if value is not None}
    if len(given) != 1:
        named = " and ".join(f"--{name}" for name in given) or "none"
        remedy = "give one of --params, --macs, --bytes, --latency, --ratio, --plan"
        raise UsageError(f"pruning takes one budget, not {named}", remedy=remedy)
    if "latency" in given:
        check_wanted(given["latency"])
        return {"time": given["latency"]}
    return given


def _bound(
    model: ModelArtifact, data: CalibrationData | None, options: PruneOptions
) -> CalibrationData | None:
    """The samples for the model; where it can do without any, random ones to make the proof on."""
    needs_none = options.criterion in WITHOUT_SAMPLES and not options.compensate
    if data is None and needs_none and options.granularity == "structured":
        data = _made_up(model, options.seed)
    return None if data is None else data.for_model(model.inputs)


def _timed(request: _Request, batch: int, threads: int) -> _Request:
    """The request with a table of layer times, measured on this machine."""
    table = time_table(
        request.source,
        request.data,
        request.options,
        request.target,
        batch=batch,
        threads=threads,
        seed=request.options.seed,
        monitor=request.monitor,
    )
    return replace(request, table=table)


def _fit_latency(request: _Request, wanted: float, batch: int, threads: int) -> tuple[Trial, LatencyBudget]:
    """Search for the cut that runs in the wanted share of the time."""
    return search_latency(
        request.source,
        wanted,
        rehearse=lambda share: Trial(*request.cut(time=share, steps=_TRIAL_STEPS)),
        perform=lambda share: Trial(*request.cut(time=share)),
        batch=batch,
        threads=threads,
        seed=request.options.seed,
        data=request.data,
        monitor=request.monitor,
    )


def _made_up(model: ModelArtifact, seed: int) -> CalibrationData:
    """Random samples, good for one thing: the proof holds on any input, or the cut is wrong."""
    batch = fixed_batch(model, None) or _PROOF_SAMPLES
    return CalibrationData.from_arrays(feed_of(model, None, batch, seed=seed), origin="made up for the proof")
