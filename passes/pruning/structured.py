"""Structural pruning: neurons go, and the graph is smaller and dense afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import OrtRunner, Runner
from ...core.domains import is_foreign
from ...core.errors import ExpectationError, UsageError
from ...core.metrics import measure_graph
from ...core.reports import Change
from ...core.shapes import Dims, infer_shapes
from ...core.targets import Target
from ..base import GraphPass, validate
from ..constants import all_initializers
from ..coupling import Coupling, Group, Kept, analyze, cut_classes
from ..globs import first_glob
from .budget import BudgetPlanner, Scene
from .consumers import Consumer, find_consumers
from .correction import Alive, correct_outputs
from .costing import TimeTable
from .criteria import NEEDS_MOMENTS
from .holdout import split_off
from .masking import masked
from .observations import Observations
from .options import WITHOUT_SAMPLES, PruneOptions
from .plan import plan_of
from .proof import prove_cut
from .repair import repair_consumers
from .report import GroupPlan, PruneReport, Round, frozen_reasons, plan_groups, with_widths, worst_proof
from .sensitivity import OutputProbe, error_after
from .statistics import InputStatistics, refuse_non_finite
from .waypoint import Visit, Waypoint

Progress = Callable[[int, int], None]


class StructuredPruningPass(GraphPass):
    """Cuts neurons until a budget holds, repairs what read them, and proves each cut.

    1. Collect the moments of every consumer's input on the samples.
    2. Order each group's neurons by the criterion; choose widths for this round's share of the budget. Or take both
       from a plan.
    3. Fold what goes into what stays (closed form), cut, prove masked original == cut model.
    4. Again, until the last round has reached the budget. Then fit every layer anew to the original's outputs.

    Args:
        options: What, how much and how.
        target: Whose multiples the widths keep.
        data: The samples; may be left out for a criterion that needs none, without compensation.
        runner: Executes graphs; ONNX Runtime by default.
        progress: Told the rounds done and the rounds in all.
        plan_only: Whether to stop at the plan of one round to the whole budget, cutting nothing.
        table: Measured times, for a budget of time.
        visit: Is shown the graph after every round.
        wanted: The graph whose outputs the last fit aims at, where it is not the one that is cut.
    """

    name: ClassVar[str] = "prune"

    def __init__(
        self,
        options: PruneOptions,
        target: Target,
        data: CalibrationData | None = None,
        runner: Runner | None = None,
        progress: Progress | None = None,
        *,
        plan_only: bool = False,
        table: TimeTable | None = None,
        visit: Visit | None = None,
        wanted: ir.Model | None = None,
    ) -> None:
        super().__init__(sample_shapes_of(data))
        self.needs_samples = options.compensate or not _is_blind(options)
        if data is None and self.needs_samples:
            raise UsageError(
                f"criterion {options.criterion_name} and compensation need samples",
                remedy="give --calib, or --criterion magnitude with --no-compensate",
            )
        if options.time is not None and table is None:
            raise UsageError(
                "a budget of time needs measured times", remedy="give --latency, which measures them"
            )
        self.options = options
        self.multiple = target.channel_multiple if options.align == "auto" else options.align
        self.data = data
        self.runner = runner or OrtRunner()
        self.progress = progress or (lambda done, total: None)
        self.plan_only = plan_only
        self.table = table
        self.visit = visit
        self.wanted = wanted
        is_judged = data is not None and (options.criterion == "output" or options.max_error is not None)
        self.fitting: CalibrationData | None = data
        self.held_out: CalibrationData | None = None
        if data is not None and is_judged:
            self.fitting, self.held_out = split_off(data, options.seed)
        self.probe: OutputProbe | None = None
        self.alive: dict[tuple[ir.Value, int], npt.NDArray[np.int64]] = {}
        self.report: PruneReport = PruneReport(self.name)

    def rewrite(self, model: ir.Model) -> bool:
        """Prune the graph in place."""
        refuse_non_finite(model)
        self.report = PruneReport(self.name, before=self.report.before, alignment=self.multiple)
        first, excluded = self._first_look(model)
        self.report.skipped = frozen_reasons(first.coupling, excluded)
        if self.held_out is not None:
            self.probe = OutputProbe(model, self.held_out, self.runner)
        planner = BudgetPlanner(
            self.options, self.multiple, self.input_shapes, self.table, self.probe, self._tell_rounds
        )
        planner.begin(first)
        start = plan_groups(tuple(first.groups))
        total = 1 if self.plan_only or self.options.plan is not None else self.options.steps
        original = (self.wanted or model).clone() if self.options.compensate and not self.plan_only else None
        widths = {g.name: g.size for g in first.groups}
        for step in range(total):
            self.progress(step, total)
            widths |= self._round(model, planner, step / total, (step + 1) / total)
            self._show(model, original, planner, first, with_widths(start, widths))
            if self.report.stopped is not None:
                break
        if self.report.rounds:
            self._finish(self.report, model, original, self.alive)
        self.progress(total, total)
        self._fill_report(self.report, model, planner, first, with_widths(start, widths), self.alive)
        return bool(self.report.rounds)

    def _show(
        self,
        model: ir.Model,
        original: ir.Model | None,
        planner: BudgetPlanner,
        first: Scene,
        plan: list[GroupPlan],
    ) -> None:
        """Show the visitor, if there is one, the graph as it is now."""
        if self.visit is None or not self.report.rounds:
            return
        # A copy shares the weights, which every cut and repair replaces and none overwrites.
        done, report = model.clone(), copy(self.report)
        report.rounds = list(report.rounds)
        twins = dict(zip(all_initializers(model.graph), all_initializers(done.graph), strict=True))
        alive = dict(self.alive)
        alive_there = {(twins[value], axis): left for (value, axis), left in alive.items()}

        def finish() -> tuple[ir.Model, PruneReport]:
            self._finish(report, done, original, alive_there)
            validate(done)
            self._fill_report(report, done, planner, first, plan, alive)
            report.after = measure_graph(done, self.input_shapes)
            return done, report

        coupling = self._analyze(model)
        left = planner.share_left(Scene(model, coupling, coupling.groups, {}))
        self.visit(Waypoint(len(self.report.rounds), left, done, finish))

    def _finish(self, report: PruneReport, model: ir.Model, original: ir.Model | None, alive: Alive) -> None:
        """Fit every layer anew to the original's outputs, where samples and a copy of it are there."""
        if original is not None and self.fitting is not None:
            report.corrections = correct_outputs(
                model, original, alive, self.fitting, self.runner, seed=self.options.seed
            )
        if self.probe is not None:
            report.output_error = self.probe.error(model)

    def _first_look(self, model: ir.Model) -> tuple[Scene, dict[str, str]]:
        """The graph before any cut, and the groups that the user excludes.

        Raises:
            ExpectationError: Nothing may be cut.
        """
        coupling = self._analyze(model)
        groups, excluded = _select(coupling, self.options.exclude)
        if not groups:
            reasons = "; ".join(sorted({g.frozen.text for g in coupling.frozen if g.frozen})[:3])
            raise ExpectationError(
                f"no group of neurons may be cut ({reasons or 'the graph holds none'})",
                remedy="see `sardonyx inspect --coupling` for every reason",
            )
        return Scene(model, coupling, groups, {}), excluded

    def _tell_rounds(self) -> None:
        self.progress(len(self.report.rounds), self.options.steps)

    def _fill_report(
        self,
        report: PruneReport,
        model: ir.Model,
        planner: BudgetPlanner,
        first: Scene,
        plan: list[GroupPlan],
        alive: Alive,
    ) -> None:
        options = self.options
        report.plan = plan
        report.proof = worst_proof(report.rounds)
        report.applied = [
            Change(p.name, "width", p.width_before, p.width_after)
            for p in report.plan
            if p.width_after < p.width_before
        ]
        report.cuts = plan_of(first.coupling, alive, approximate=options.approximate)
        if self.plan_only:
            left = planner.share_left(first, [group.width_after for group in plan])
        else:
            coupling = self._analyze(model)
            left = planner.share_left(Scene(model, coupling, coupling.groups, {}))
        kind, asked = options.budget or ("params", None)
        report.budget = {"kind": kind, "asked": asked, "cut_ratio": options.ratio, "left": left}
        report.details = {
            "criterion": options.criterion_name,
            "scope": options.scope,
            "compensate": options.compensate,
            "alignment": self.multiple,
            "approximate": options.approximate,
            "samples": len(self.data) if self.data is not None else 0,
        }

    def _analyze(self, model: ir.Model) -> Coupling:
        infer_shapes(model)
        approximate = self.options.approximate or (
            self.options.plan is not None and self.options.plan.approximate
        )
        return analyze(model, self._missing_shapes(model), approximate=approximate)

    def _missing_shapes(self, model: ir.Model) -> Mapping[str, Dims] | None:
        """Where inference leaves gaps, one sample run through the model fills them in, if it can be run here."""
        values = [v for node in model.graph for v in node.outputs if v.name and _is_tensor(v)]
        gaps = [v.name or "" for v in values if v.shape is None or any(_is_unknown(d) for d in v.shape)]
        if self.data is None or not gaps or any(is_foreign(node, model) for node in model.graph):
            return None
        feed = next(iter(self.data.batches(self.data.batch_size_for(1))))
        arrays = next(iter(self.runner.run(model, [feed], gaps)))
        return {name: tuple(int(d) for d in np.shape(array)) for name, array in arrays.items()}

    def _round(
        self, model: ir.Model, planner: BudgetPlanner, done: float, done_share: float
    ) -> dict[str, int]:
        """Cut once, from one share of the way to another; return the widths."""
        coupling = self._analyze(model)
        groups, _ = _select(coupling, self.options.exclude)
        if not groups:
            return {}  # earlier rounds left no neuron that may go
        scene = Scene(model, coupling, groups, self._statistics(model, coupling))
        plan = self.options.plan
        chosen = plan.labels(groups) if plan else self._supported(scene, planner, done, done_share)
        labels = np.concatenate(chosen)
        if len(labels):
            kept = Kept(coupling, labels)
            self._remember(model, kept)
            if not self.plan_only:
                self._cut(scene, kept, labels)
        return {g.name: g.size - len(part) for g, part in zip(groups, chosen, strict=True)}

    def _supported(
        self, scene: Scene, planner: BudgetPlanner, done: float, done_share: float
    ) -> list[npt.NDArray[np.int64]]:
        """What goes in this round, as far as the held-out samples support it: all of it, a half, a quarter, nothing."""
        bound = self.options.error_bound
        for share in (done_share, (done + done_share) / 2, (3 * done + done_share) / 4):
            chosen = planner.labels(scene, share)
            labels = np.concatenate(chosen)
            if bound is None or self.probe is None or not len(labels):
                return chosen
            error = error_after(
                scene.model,
                scene.coupling,
                Kept(scene.coupling, labels),
                scene.statistics,
                self.probe,
                compensate=self.options.compensate,
            )
            if error <= bound:
                return chosen
            self.report.stopped = (
                f"the next cut would move the outputs on held-out samples by {error:.2f} of their variance, "
                f"{bound:.2f} is allowed"
            )
        return [part[:0] for part in chosen]

    def _statistics(self, model: ir.Model, coupling: Coupling) -> Mapping[Consumer, InputStatistics]:
        if self.fitting is None or not self.needs_samples:
            return {}
        consumers = find_consumers(coupling)
        wanted = callable(self.options.criterion) or self.options.criterion in NEEDS_MOMENTS
        return Observations(
            model, coupling, consumers, self.fitting, self.runner, self.options.seed, with_moments=wanted
        )

    def _cut(self, scene: Scene, kept: Kept, labels: npt.NDArray[np.int64]) -> None:
        model, coupling = scene.model, scene.coupling
        repairs = repair_consumers(model, coupling, kept, scene.statistics) if self.options.compensate else []
        reference = masked(model, coupling, kept) if self.data is not None else None
        cut_classes(model, coupling, labels)
        infer_shapes(model)
        proof = None
        if reference is not None and self.data is not None:
            proof = prove_cut(reference, model, self.data, self.runner)
        error = None if self.probe is None else self.probe.error(model)
        self.report.rounds.append(Round(len(labels), proof, tuple(repairs), error))

    def _remember(self, model: ir.Model, kept: Kept) -> None:
        """Keep account of which indices at first are left on every axis that is cut."""
        for value in all_initializers(model.graph):
            for axis, mask in kept.axes(value).items():
                before = self.alive.get((value, axis), np.arange(len(mask)))
                self.alive[(value, axis)] = before[mask]


def _is_blind(options: PruneOptions) -> bool:
    """Whether neurons are chosen without a look at samples."""
    return options.plan is not None or options.criterion in WITHOUT_SAMPLES


def sample_shapes_of(data: CalibrationData | None) -> dict[str, tuple[int, ...]] | None:
    """The shape of one sample for each input, or None without samples."""
    if data is None:
        return None
    feed = next(iter(data.batches(data.batch_size_for(1))))
    return {name: tuple(int(d) for d in array.shape) for name, array in feed.items()}


def _select(coupling: Coupling, exclude: Sequence[str]) -> tuple[list[Group], dict[str, str]]:
    """The groups to be cut, and those that a glob leaves alone (with the glob)."""
    chosen, excluded = [], {}
    for group in coupling.groups:
        names = {group.name, *group.aliases}
        glob = first_glob(names, exclude)
        if glob is None:
            chosen.append(group)
        else:
            excluded[group.name] = glob
    return chosen, excluded


def _is_tensor(value: ir.Value) -> bool:
    return value.type is None or isinstance(value.type, ir.TensorType)


def _is_unknown(dim: int | ir.SymbolicDim) -> bool:
    return dim < 0 if isinstance(dim, int) else dim.value is None
