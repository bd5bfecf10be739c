"""Structural pruning: neurons go, and the graph is smaller and dense afterwards."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import OrtRunner, Runner
from ...core.errors import ExpectationError, UsageError
from ...core.reports import Change
from ...core.shapes import Dims, infer_shapes
from ...core.targets import Target
from ..base import GraphPass
from ..coupling import Coupling, Group, Kept, analyze, cut_classes
from .allocation import allocate_global, allocate_local, allowed_widths, same_share
from .consumers import Consumer, find_consumers
from .correction import correct_outputs
from .costing import CostModel, Widths, macs_model, params_model
from .criteria import CRITERION_TABLE, NEEDS_MOMENTS, Curve, Evidence, scored_by, second_order
from .masking import masked
from .options import WITHOUT_SAMPLES, PruneOptions
from .proof import prove_cut
from .repair import repair_consumers
from .report import PruneReport, Round, frozen_reasons, plan_groups, worst_proof
from .sensitivity import TRIAL_SHARE, OutputProbe, sensitivities, split_off
from .statistics import InputStatistics, collect_inputs, refuse_non_finite

Progress = Callable[[int, int], None]

_REACH = 4
"""A round that is to leave a share s of the cost may leave s ** 4 of a single group."""


class StructuredPruningPass(GraphPass):
    """Cuts neurons until a budget holds, repairs what read them, and proves each cut.

    1. Collect the moments of every consumer's input on the samples.
    2. Order each group's neurons by the criterion; choose widths for this round's share of the budget.
    3. Fold what goes into what stays (closed form), cut, prove masked original == cut model.
    4. Again, until the last round has reached the budget.

    Args:
        options: What, how much and how.
        target: Whose multiples the widths keep.
        data: The samples; may be left out for a criterion that needs none, without compensation.
        runner: Executes graphs; ONNX Runtime by default.
        progress: Told the rounds done and the rounds in all.
        plan_only: Whether to stop at the plan of the first round to the whole budget, cutting nothing.
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
    ) -> None:
        super().__init__(sample_shapes_of(data))
        if data is None and (options.compensate or options.criterion not in WITHOUT_SAMPLES):
            raise UsageError(
                f"criterion {options.criterion_name} and compensation need samples",
                remedy="give --calib, or --criterion magnitude with --no-compensate",
            )
        self.options = options
        self.multiple = target.channel_multiple if options.align == "auto" else options.align
        self.data = data
        self.runner = runner or OrtRunner()
        self.progress = progress or (lambda done, total: None)
        self.plan_only = plan_only
        self.random = np.random.default_rng(options.seed)
        self.fitting, self.held_out = (
            split_off(data, options.seed) if data and options.criterion == "output" else (data, data)
        )
        self.probe: OutputProbe | None = None
        self.alive: dict[tuple[str, int], npt.NDArray[np.int64]] = {}
        self.report: PruneReport = PruneReport(self.name)

    def rewrite(self, model: ir.Model) -> bool:
        """Prune the graph in place."""
        refuse_non_finite(model)
        before = self.report.before
        self.report = PruneReport(self.name, before=before, alignment=self.multiple)
        first = self._analyze(model)
        groups, excluded = _select(first, self.options.exclude)
        if not groups:
            reasons = "; ".join(sorted({g.frozen.text for g in first.frozen if g.frozen})[:3])
            raise ExpectationError(
                f"no group of neurons may be cut ({reasons or 'the graph holds none'})",
                remedy="see `sardonyx inspect --coupling` for every reason",
            )
        self.report.skipped = frozen_reasons(first, excluded)
        if self.options.criterion == "output" and self.held_out is not None:
            self.probe = OutputProbe(model, self.held_out, self.runner)
        costs = self._cost_model(model, first, groups)
        full = costs.total(costs.full)
        widths = {g.name: g.size for g in groups}
        total = 1 if self.plan_only else self.options.steps
        original = model.clone() if self.options.compensate and not self.plan_only else None
        for step in range(total):
            self.progress(step, total)
            share = self._share(step + 1, total)
            widths |= self._round(model, share, full, {g.name: g.size for g in groups})
        if original is not None and self.data is not None and self.report.rounds:
            self.report.corrections = correct_outputs(
                model, original, self.alive, self.data, self.runner, seed=self.options.seed
            )
        self.progress(total, total)
        self._fill_report(model, first, groups, widths, full)
        return bool(self.report.applied)

    def _fill_report(
        self, model: ir.Model, first: Coupling, groups: list[Group], widths: dict[str, int], full: float
    ) -> None:
        report = self.report
        report.plan = plan_groups(tuple(groups), widths)
        report.proof = worst_proof(report.rounds)
        report.applied = [
            Change(p.name, "width", p.width_before, p.width_after)
            for p in report.plan
            if p.width_after < p.width_before
        ]
        left = self._predict(first, groups, widths, model) if self.plan_only else None
        if left is None:
            coupling = self._analyze(model)
            costs = self._cost_model(model, coupling, list(coupling.groups))
            left = costs.total(costs.full)
        kind = "macs" if self.options.macs is not None else "params"
        asked = self.options.params or self.options.macs
        report.budget = {
            "kind": kind,
            "asked": asked,
            "cut_ratio": self.options.ratio,
            "left": left / max(full, 1),
        }
        report.details = {
            "criterion": self.options.criterion_name,
            "scope": self.options.scope,
            "compensate": self.options.compensate,
            "alignment": self.multiple,
            "approximate": self.options.approximate,
            "samples": len(self.data) if self.data is not None else 0,
        }

    def _predict(
        self, first: Coupling, groups: list[Group], widths: dict[str, int], model: ir.Model
    ) -> float:
        costs = self._cost_model(model, first, groups)
        return costs.total(np.asarray([widths[g.name] for g in groups], dtype=np.int64))

    def _analyze(self, model: ir.Model) -> Coupling:
        infer_shapes(model)
        return analyze(model, self._missing_shapes(model), approximate=self.options.approximate)

    def _missing_shapes(self, model: ir.Model) -> Mapping[str, Dims] | None:
        """Where inference leaves gaps, one sample run through the model fills them in."""
        values = [v for node in model.graph for v in node.outputs if v.name]
        gaps = [v.name or "" for v in values if v.shape is None or any(_is_unknown(d) for d in v.shape)]
        if self.data is None or not gaps:
            return None
        feed = next(iter(self.data.batches(self.data.batch_size_for(1))))
        arrays = next(iter(self.runner.run(model, [feed], gaps)))
        return {name: tuple(int(d) for d in np.shape(array)) for name, array in arrays.items()}

    def _cost_model(self, model: ir.Model, coupling: Coupling, groups: Sequence[Group]) -> CostModel:
        if self.options.macs is not None:
            return macs_model(model, coupling, groups, self.input_shapes)
        return params_model(coupling, groups)

    def _share(self, step: int, total: int) -> float:
        """What is left after a step: equal factors, so that every round cuts the same share of what is there."""
        o = self.options
        final = 1 - o.ratio if o.ratio is not None else (o.params or o.macs or 1.0)
        return float(final ** (step / total))

    def _round(self, model: ir.Model, share: float, full: float, sizes: dict[str, int]) -> dict[str, int]:
        """Cut down to a share of the whole; return the widths."""
        coupling = self._analyze(model)
        groups, _ = _select(coupling, self.options.exclude)
        costs = self._cost_model(model, coupling, groups)
        statistics = self._statistics(model, coupling)
        evidence = Evidence(coupling, statistics, self.options.compensate, self.random)
        factors = self._factors(model, coupling, groups, evidence, sizes)
        curves, widths = self._choose(groups, evidence, factors, costs, share, full, sizes)
        cut = [g.classes[c.order[: g.size - int(w)]] for g, c, w in zip(groups, curves, widths, strict=True)]
        labels = np.concatenate(cut) if cut else np.zeros(0, dtype=np.int64)
        if len(labels) and not self.plan_only:
            self._cut(model, coupling, labels, statistics)
        return {g.name: int(w) for g, w in zip(groups, widths, strict=True)}

    def _widths(self, group: Group, original: int) -> list[int]:
        ladder = allowed_widths(original, self.multiple, self.options.min_width)
        return [group.size, *(w for w in ladder if w < group.size)]

    def _factors(
        self,
        model: ir.Model,
        coupling: Coupling,
        groups: list[Group],
        evidence: Evidence,
        sizes: dict[str, int],
    ) -> list[float]:
        """What the outputs say that each group's reconstruction costs: a factor for its curve."""
        if self.probe is None:
            return [1.0] * len(groups)
        ladders = [self._widths(g, sizes.get(g.name, g.size)) for g in groups]
        trials = []
        for group, ladder in zip(groups, ladders, strict=True):
            wanted = (1 - TRIAL_SHARE) * group.size
            depth = group.size - min(ladder[1:] or ladder, key=lambda w: abs(w - wanted))
            trials.append((group, second_order(group, evidence, depth), depth))
        grown = sensitivities(model, coupling, trials, evidence.statistics, self.probe)
        self.progress(len(self.report.rounds), self.options.steps)
        return [
            growth / max(float(curve.cost[depth]), 1e-12) if depth else 1.0
            for growth, (_, curve, depth) in zip(grown, trials, strict=True)
        ]

    def _choose(
        self,
        groups: list[Group],
        evidence: Evidence,
        factors: list[float],
        costs: CostModel,
        share: float,
        full: float,
        sizes: dict[str, int],
    ) -> tuple[list[Curve], Widths]:
        """Curves and widths: first within the reach of one round, and without that bound if it does not do."""
        originals = [sizes.get(group.name, group.size) for group in groups]
        ladders = [self._widths(group, size) for group, size in zip(groups, originals, strict=True)]
        given = self.options.criterion
        criterion = CRITERION_TABLE[given] if isinstance(given, str) else scored_by(given)
        widths = costs.full
        for options in (self._shallow(ladders, share * full / costs.total(costs.full)), ladders):
            depths = [group.size - o[-1] for group, o in zip(groups, options, strict=True)]
            curves = [
                criterion(g, evidence, depth).scaled(factor)
                for g, depth, factor in zip(groups, depths, factors, strict=True)
            ]
            widths = self._allocate(curves, costs, share, full, options, originals)
            if self.options.ratio is not None or options == ladders or costs.total(widths) <= share * full:
                break
        return curves, widths

    def _shallow(self, ladders: list[list[int]], share: float) -> list[list[int]]:
        """Widths that one round may reach: far beyond its share, but not the last neuron.

        A group that looks cheap to the bottom is cut again in the next round, when it has been looked at again.
        """
        if self.options.ratio is not None:
            return ladders
        floor = min(share, 1.0) ** _REACH
        return [[w for i, w in enumerate(ladder) if i < 2 or w >= floor * ladder[0]] for ladder in ladders]

    def _statistics(self, model: ir.Model, coupling: Coupling) -> dict[Consumer, InputStatistics]:
        needed = self.options.compensate or self.options.criterion not in WITHOUT_SAMPLES
        if self.fitting is None or not needed:
            return {}
        consumers = find_consumers(coupling)
        wanted = callable(self.options.criterion) or self.options.criterion in NEEDS_MOMENTS
        return collect_inputs(
            model, coupling, consumers, self.fitting, self.runner, self.options.seed, with_moments=wanted
        )

    def _allocate(
        self,
        curves: list[Curve],
        costs: CostModel,
        share: float,
        full: float,
        options: list[list[int]],
        sizes: list[int],
    ) -> Widths:
        if self.options.ratio is not None:
            ladders = [[size, *o] if size not in o else o for size, o in zip(sizes, options, strict=True)]
            wanted = same_share(share, ladders)
            return np.minimum(wanted, [o[0] for o in options])
        if self.options.scope == "local":
            return allocate_local(costs, share * full, options)
        return allocate_global(curves, costs, share * full, options)

    def _cut(
        self, model: ir.Model, coupling: Coupling, cut: Widths, statistics: Mapping[Consumer, InputStatistics]
    ) -> None:
        kept = Kept(coupling, cut)
        repairs = repair_consumers(model, coupling, kept, statistics) if self.options.compensate else []
        reference = masked(model, coupling, kept) if self.data is not None else None
        self._remember(model, kept)
        cut_classes(model, coupling, cut)
        infer_shapes(model)
        proof = None
        if reference is not None and self.data is not None:
            proof = prove_cut(reference, model, self.data, self.runner)
        error = None if self.probe is None else self.probe.error(model)
        self.report.rounds.append(Round(len(cut), proof, tuple(repairs), error))

    def _remember(self, model: ir.Model, kept: Kept) -> None:
        """Keep account of which indices at first are left on every axis that is cut."""
        for name, value in model.graph.initializers.items():
            for axis, mask in kept.axes(value).items():
                before = self.alive.get((name, axis), np.arange(len(mask)))
                self.alive[(name, axis)] = before[mask]


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
        glob = next((g for g in exclude if any(fnmatch.fnmatchcase(n, g) for n in names)), None)
        if glob is None:
            chosen.append(group)
        else:
            excluded[group.name] = glob
    return chosen, excluded


def _is_unknown(dim: int | ir.SymbolicDim) -> bool:
    return dim < 0 if isinstance(dim, int) else dim.value is None
