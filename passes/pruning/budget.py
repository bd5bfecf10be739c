"""How deep each round cuts: from a criterion's curves and a budget to the neurons that go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ..coupling import Coupling, Group
from .allocation import allocate_global, allocate_isomorphic, allocate_local, allowed_widths, same_share
from .consumers import Consumer
from .costing import CostModel, TimeTable, Widths, bytes_model, macs_model, params_model, time_model
from .criteria import CRITERION_TABLE, Criterion, Curve, Evidence, scored_by, second_order
from .kinds import kind_of
from .options import PruneOptions
from .sensitivity import TRIAL_SHARE, OutputProbe, sensitivities
from .statistics import InputStatistics

_REACH = 4
"""A round that is to leave a share s of the cost may leave s ** 4 of a single group."""


@dataclass(frozen=True)
class Scene:
    """A graph as a round finds it.

    Attributes:
        model: The graph.
        coupling: Its analysis.
        groups: The groups that may lose neurons.
        statistics: What each consumer reads; empty without samples.
    """

    model: ir.Model
    coupling: Coupling
    groups: Sequence[Group]
    statistics: Mapping[Consumer, InputStatistics]


class BudgetPlanner:
    """Chooses, round by round, which neurons go until a budget holds.

    Args:
        options: Budget, criterion and scope.
        multiple: What widths are multiples of.
        input_shapes: Shapes of one sample for each input.
        table: Measured times, for a budget of time.
        probe: Compares outputs, for the criterion that asks them.
        tick: Called when something long has been done.
    """

    def __init__(
        self,
        options: PruneOptions,
        multiple: int,
        input_shapes: Mapping[str, Sequence[int]] | None,
        table: TimeTable | None = None,
        probe: OutputProbe | None = None,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self.options = options
        self.multiple = multiple
        self.input_shapes = input_shapes
        self.table = table
        self.probe = probe
        self.tick = tick
        self.random = np.random.default_rng(options.seed)
        self._sizes: dict[str, int] = {}
        self._full = 0.0

    def begin(self, scene: Scene) -> None:
        """See the graph before any cut."""
        costs = self.costs(scene)
        self._sizes = {group.name: group.size for group in scene.groups}
        self._full = costs.total(costs.full)

    def labels(self, scene: Scene, done_share: float) -> list[npt.NDArray[np.int64]]:
        """The classes that go in this round, for each group.

        Args:
            scene: The graph now.
            done_share: How much of the way is done after this round, in (0, 1].
        """
        share = self._share(done_share)
        costs = self.costs(scene)
        evidence = Evidence(scene.coupling, scene.statistics, self.options.compensate, self.random)
        factors = self._factors(scene, evidence)
        curves, widths = self._choose(scene.groups, evidence, factors, costs, share)
        return [
            g.classes[c.order[: g.size - int(w)]]
            for g, c, w in zip(scene.groups, curves, widths, strict=True)
        ]

    def share_left(self, scene: Scene, widths: Sequence[int] | None = None) -> float:
        """What the graph costs now, or would at some widths, as a share of what it cost at first."""
        costs = self.costs(scene)
        return costs.total(costs.full if widths is None else np.asarray(widths)) / max(self._full, 1e-30)

    def costs(self, scene: Scene) -> CostModel:
        """What the graph costs in the budget's unit; in parameters where there is no budget."""
        kind, _ = self.options.budget or ("params", 1.0)
        if kind == "macs":
            return macs_model(scene.model, scene.coupling, scene.groups, self.input_shapes)
        if kind == "bytes":
            return bytes_model(scene.model, scene.coupling, scene.groups)
        if kind == "time" and self.table is not None:
            return time_model(scene.model, scene.coupling, scene.groups, self.input_shapes, self.table)
        return params_model(scene.coupling, scene.groups)

    def _share(self, done_share: float) -> float:
        """What is left: equal factors, so that every round cuts the same share of what is there."""
        ratio = self.options.ratio
        _, final = self.options.budget or ("", 1.0)
        return float((1 - ratio if ratio is not None else final) ** done_share)

    def _widths(self, group: Group) -> list[int]:
        original = self._sizes.get(group.name, group.size)
        ladder = allowed_widths(original, self.multiple, self.options.min_width)
        return [group.size, *(w for w in ladder if w < group.size)]

    def _factors(self, scene: Scene, evidence: Evidence) -> list[float]:
        """What the outputs say that each group's reconstruction costs: a factor for its curve."""
        if self.probe is None:
            return [1.0] * len(scene.groups)
        trials = []
        for group in scene.groups:
            ladder = self._widths(group)
            wanted = (1 - TRIAL_SHARE) * group.size
            depth = group.size - min(ladder[1:] or ladder, key=lambda w: abs(w - wanted))
            trials.append((group, second_order(group, evidence, depth), depth))
        grown = sensitivities(scene.model, scene.coupling, trials, evidence.statistics, self.probe)
        self.tick()
        return [
            growth / max(float(curve.cost[depth]), 1e-12) if depth else 1.0
            for growth, (_, curve, depth) in zip(grown, trials, strict=True)
        ]

    def _choose(
        self,
        groups: Sequence[Group],
        evidence: Evidence,
        factors: list[float],
        costs: CostModel,
        share: float,
    ) -> tuple[list[Curve], Widths]:
        """Curves and widths: first within the reach of one round, and without that bound if it does not do."""
        criterion = _criterion(self.options)
        ladders = [self._widths(group) for group in groups]
        goal, now = share * self._full, costs.total(costs.full)
        for options in (self._shallow(ladders, goal / max(now, 1e-30)), ladders):
            depths = [group.size - o[-1] for group, o in zip(groups, options, strict=True)]
            curves = [
                criterion(g, evidence, depth).scaled(factor)
                for g, depth, factor in zip(groups, depths, factors, strict=True)
            ]
            widths = self._allocate(groups, curves, costs, share, options)
            if self.options.ratio is not None or options == ladders or costs.total(widths) <= goal:
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

    def _allocate(
        self,
        groups: Sequence[Group],
        curves: list[Curve],
        costs: CostModel,
        share: float,
        options: list[list[int]],
    ) -> Widths:
        if self.options.ratio is not None:
            sizes = [self._sizes.get(group.name, group.size) for group in groups]
            ladders = [[size, *o] if size not in o else o for size, o in zip(sizes, options, strict=True)]
            return np.minimum(same_share(share, ladders), [o[0] for o in options])
        goal = share * self._full
        if self.options.scope == "local":
            return allocate_local(costs, goal, options)
        if self.options.scope == "isomorphic":
            return allocate_isomorphic(curves, [kind_of(g) for g in groups], costs, goal, options)
        return allocate_global(curves, costs, goal, options)


def _criterion(options: PruneOptions) -> Criterion:
    given = options.criterion
    return CRITERION_TABLE[given] if isinstance(given, str) else scored_by(given)
