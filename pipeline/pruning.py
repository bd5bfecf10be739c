"""Pruning a model file: cleanup, the budget (measured latency too), the cut, and the proof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt

from ..calib_data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import UsageError
from ..core.reports import PassReport
from ..core.targets import Target, get_target
from ..passes.pruning import WITHOUT_SAMPLES, NeuronView, PruneOptions, PruneReport
from ..passes.pruning import prune as prune_graph
from ..runtime.custom_metric import is_custom, load_function
from ..runtime.feeds import feed_of, fixed_batch
from .latency_budget import LatencyBudget, Trial, search_latency
from .monitor import Monitor, Silent
from .opening import ModelLike, as_model, clean

_TRIAL_STEPS = 1
"""Rounds of a cut that is made only to be timed: widths decide the time, not the weights in them."""


_PROOF_SAMPLES = 16


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
            )
        return ModelArtifact.of(outcome.model), outcome.report


def prune(
    model: ModelLike,
    data: CalibrationData | None = None,
    *,
    params: float | None = None,
    macs: float | None = None,
    latency: float | None = None,
    ratio: float | None = None,
    criterion: str | Callable[[NeuronView], npt.ArrayLike] = "second-order",
    scope: Literal["global", "local"] = "global",
    align: int | Literal["auto"] = "auto",
    granularity: str = "structured",
    compensate: bool = True,
    approximate: bool = False,
    exclude: tuple[str, ...] | list[str] = (),
    target: str | Target = "auto",
    batch: int = 1,
    plan_only: bool = False,
    seed: int = 0,
    threads: int = 0,
    monitor: Monitor | None = None,
) -> Pruned:
    """Cut the neurons that a model does not need, and prove that nothing else changed.

    Args:
        model: The model.
        data: Samples; ``magnitude`` and ``random`` without compensation can do without.
        params: Share of the parameters that stays.
        macs: Share of the multiply-accumulates that stays.
        latency: Share of the time that stays, measured on this machine in turns with the uncut model.
        ratio: Share of the neurons cut, in each group.
        criterion: One of :data:`~sardonyx.passes.pruning.CRITERIA`, ``file.py:function``, or a function that takes a
            :class:`~sardonyx.passes.pruning.NeuronView` and returns scores; the smallest go first.
        scope: ``global`` lets groups compete, ``local`` cuts all alike.
        align: Widths are kept at multiples of this; ``auto`` takes the target's.
        granularity: ``structured``, ``unstructured``, or ``n:m`` such as ``2:4``.
        compensate: Whether what is left is repaired in closed form.
        approximate: Whether neurons may go over which a LayerNormalization or a mean runs.
        exclude: Globs over names that are left alone.
        target: What the model is made for.
        batch: Batch size that ``latency`` is timed at.
        plan_only: Whether to plan and cut nothing.
        seed: Seed of every random choice.
        threads: Threads that ``latency`` is timed with.
        monitor: Is told how work goes on.

    Returns:
        The model, in memory, and what was done.

    Raises:
        UsageError: Not exactly one budget is given, or one is out of range.
        ExpectationError: The proof fails, or no cut is fast enough.
        DataError: The samples do not fit the model.
    """
    budget = _only_budget(params=params, macs=macs, latency=latency, ratio=ratio)
    chosen = load_function(criterion) if isinstance(criterion, str) and is_custom(criterion) else criterion
    kind = PruneOptions(**budget, criterion=chosen, scope=scope, align=align, granularity=granularity)
    options = replace(kind, compensate=compensate, approximate=approximate, exclude=tuple(exclude), seed=seed)
    aim = get_target(target) if isinstance(target, str) else target
    cleaned, cleanup = clean(as_model(model))
    bound = _bound(cleaned, data, options)
    request = _Request(cleaned, bound, aim, options, monitor or Silent(), plan_only)
    if latency is None:
        return Pruned(*request.cut(), cleanup)
    trial, found = _fit_latency(request, latency, batch, threads)
    return Pruned(trial.model, trial.report, cleanup, found)


def _only_budget(**budgets: float | None) -> dict[str, Any]:
    """The one budget that is given; a latency stands for a share of the parameters that is still to be found.

    Raises:
        UsageError: None is given, or several.
    """
    given = {name: value for name, value in budgets.items() if value is not None}
    if len(given) != 1:
        named = " and ".join(f"--{name}" for name in given) or "none"
        remedy = "give one of --params, --macs, --latency, --ratio"
        raise UsageError(f"pruning takes one budget, not {named}", remedy=remedy)
    return {"params": 1.0} if "latency" in given else given


def _bound(
    model: ModelArtifact, data: CalibrationData | None, options: PruneOptions
) -> CalibrationData | None:
    """The samples for the model; where it can do without any, random ones to make the proof on."""
    needs_none = options.criterion in WITHOUT_SAMPLES and not options.compensate
    if data is None and needs_none and options.granularity == "structured":
        data = _made_up(model, options.seed)
    return None if data is None else data.for_model(model.inputs)


def _fit_latency(request: _Request, wanted: float, batch: int, threads: int) -> tuple[Trial, LatencyBudget]:
    """Search for the share of the parameters that runs in the wanted share of the time."""
    if request.plan_only:
        raise UsageError("a latency cannot be planned without cutting", remedy="plan with --params, or cut")
    return search_latency(
        request.source,
        wanted,
        rehearse=lambda share: Trial(*request.cut(params=share, steps=_TRIAL_STEPS)),
        perform=lambda share: Trial(*request.cut(params=share)),
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
