"""The one function that prunes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, NameFixPass

from ...calib_data.data import CalibrationData
from ...calib_data.runner import Runner
from ...core.targets import Target
from .costing import TimeTable
from .options import PruneOptions
from .report import PruneReport
from .structured import StructuredPruningPass
from .waypoint import Visit
from .weights import WeightPruningPass

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PruneOutcome:
    """A pruned graph and what was done.

    Attributes:
        model: The pruned graph (a new one).
        report: What was done, proven and left alone.
    """

    model: ir.Model
    report: PruneReport


def prune(
    model: ir.Model,
    data: CalibrationData | None,
    options: PruneOptions,
    *,
    target: Target,
    runner: Runner | None = None,
    progress: Progress | None = None,
    plan_only: bool = False,
    table: TimeTable | None = None,
    visit: Visit | None = None,
    wanted: ir.Model | None = None,
) -> PruneOutcome:
    """Prune a graph.

    Args:
        model: The graph; left as it is. Run :class:`~sardonyx.passes.CleanupPass` first: what it folds
            (shapes computed from constants, BatchNormalization) would freeze more, or repair worse.
        data: The samples; None for criteria that need none.
        options: What, how much and how.
        target: Whose channel multiples the widths keep.
        runner: Executes graphs; ONNX Runtime by default.
        progress: Told the rounds done and the rounds in all.
        plan_only: Plan and cut nothing.
        table: Measured times, for a budget of time.
        visit: Is shown the graph after every round in which neurons went; what it raises ends the pruning.
        wanted: The graph whose outputs the last fit aims at, with the same names, where ``model`` was made from another;
            ``model`` itself by default.

    Returns:
        The pruned graph with its report.

    Raises:
        UsageError: The options contradict each other or the criterion needs samples.
        ExpectationError: Nothing may be cut, or a proof failed.
        ModelError: Weights are not finite, or the graph is not valid.
        DataError: Samples are not finite.
    """
    work = model.clone()
    LiftConstantsToInitializersPass(lift_all_constants=False, size_limit=0)(work)
    NameFixPass()(work)
    if options.granularity == "structured":
        step = StructuredPruningPass(
            options,
            target,
            data,
            runner,
            progress,
            plan_only=plan_only,
            table=table,
            visit=visit,
            wanted=wanted,
        )
        step(work)
        return PruneOutcome(work, step.report)
    zeroing = WeightPruningPass(options, data, runner, progress)
    zeroing(work)
    return PruneOutcome(work, zeroing.report)
