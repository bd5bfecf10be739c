"""The path of skips: whole residual branches go, one more at every step, those first that cost least for what they save."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...calib_data import CalibrationData
from ...core import ModelArtifact
from ...core.errors import ExpectationError
from ...passes.pruning import (
    BranchPrice,
    SkipBranchesPass,
    TimeTable,
    node_work,
    rank_branches,
    sample_shapes_of,
)
from ..documents import plain
from ..monitor import Monitor

SKIPS = "skips"
"""The path's name."""


@dataclass
class SkipPath:
    """A path whose steps each skip one branch more.

    Attributes:
        name: Its name.
        source: The model, clean.
        data: The samples.
        monitor: Is told how it goes on.
        exclude: Globs over names of nodes that stay.
        seed: Seed of every choice.
        times: Measures what each node takes, when the branches are ranked; None where MACs are counted.
    """

    name: str
    source: ModelArtifact
    data: CalibrationData
    monitor: Monitor
    exclude: tuple[str, ...]
    seed: int
    times: Callable[[], TimeTable] | None = None
    _ranked: tuple[BranchPrice, ...] | None = field(default=None, repr=False)

    @property
    def depth(self) -> int:
        """Branches that may be skipped."""
        return len(self._ranking())

    def cut(self, depth: int) -> tuple[ModelArtifact, dict[str, Any]]:
        """The model without so many branches, from 1, fitted to the original's outputs.

        Raises:
            ExpectationError: The model has fewer branches.
        """
        if depth > self.depth:
            raise ExpectationError(
                f"the model has {self.depth} residual branches", remedy="ask for fewer to be skipped"
            )
        names = [price.branch.name for price in self._ranking()[:depth]]
        graph = self.source.load()
        step = SkipBranchesPass(names, self.data, seed=self.seed)
        step(graph)
        return ModelArtifact.of(graph), {"skip": plain(step.report)}

    def _ranking(self) -> tuple[BranchPrice, ...]:
        if self._ranked is None:
            graph = self.source.load()
            self._ranked = rank_branches(
                graph, self.data, self._costs(), exclude=self.exclude, seed=self.seed
            )
            said = ", ".join(f"{price.branch.name} {price.error:.3f}" for price in self._ranked)
            self.monitor.note(
                f"path {self.name}: branches by what skipping each costs the outputs for its time: {said}"
                if said
                else f"path {self.name}: the model has no residual branches"
            )
        return self._ranked

    def _costs(self) -> Mapping[str, float]:
        """What each node costs: its time, or its MACs."""
        work = node_work(self.source.load(), sample_shapes_of(self.data))
        if self.times is None:
            return work
        table = self.times()
        return {node: table.nodes[node].at(done) for node, done in work.items() if node in table.nodes}
