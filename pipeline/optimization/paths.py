"""Paths of cuts: one pruning to the bottom, every round of which is a cut of its own.

A path begins at the whole model, or where branches have been skipped already.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from ...calib_data import CalibrationData
from ...core import ModelArtifact
from ...core.errors import ExpectationError
from ...core.targets import Target
from ...passes.pruning import PruneOptions, TimeTable, Waypoint, find_branches, sample_shapes_of
from ...passes.pruning import prune as prune_graph
from ..documents import plain
from ..monitor import Monitor
from .options import DEEPEST, ROUNDS, OptimizeOptions

EXACT, APPROXIMATE, SKIPPED, BY_OUTPUT = "exact", "approximate", "skipped", "by-output"
"""Names of the paths of cuts."""

FEW_SAMPLES = 256
"""With fewer samples than this, a path that asks the outputs what each group is worth is tried too."""


class _FarEnoughError(Exception):
    """No deeper cut can be of use."""


class Way(Protocol):
    """A way to make a model smaller step by step."""

    @property
    def depth(self) -> int:
        """How many steps it has."""
        ...

    def cut(self, depth: int) -> tuple[ModelArtifact, dict[str, Any]]:
        """The model after so many steps, from 1, and what the steps report.

        Raises:
            ExpectationError: It has fewer.
        """
        ...


@dataclass
class CutPath:
    """A path, walked when it is first asked.

    Attributes:
        name: Its name.
        source: The model, clean.
        data: The samples.
        target: Whose multiples the widths keep.
        options: How it is cut.
        monitor: Is told how it goes on.
        is_lost: Whether a model that is not yet fitted has lost so much that no deeper one can be of use.
        times: Measures the times that cuts are to save, when the path is walked; None where MACs are counted.
        begins: Gives the model that the walk begins with, when it begins, or None where there is no such way; the
            source where it is None itself. Fits aim at the source's outputs always.
    """

    name: str
    source: ModelArtifact
    data: CalibrationData
    target: Target
    options: PruneOptions
    monitor: Monitor
    is_lost: Callable[[ModelArtifact], bool]
    times: Callable[[], TimeTable] | None = None
    begins: Callable[[], tuple[ModelArtifact, dict[str, Any]] | None] | None = None
    _reported: dict[str, Any] = field(default_factory=dict, repr=False)
    _waypoints: list[Waypoint] | None = field(default=None, repr=False)

    @property
    def depth(self) -> int:
        """Rounds in which something was cut."""
        return len(self._walked())

    def cut(self, depth: int) -> tuple[ModelArtifact, dict[str, Any]]:
        """The cut after so many rounds, from 1, with every layer fitted to the original's outputs.

        Raises:
            ExpectationError: The path has fewer rounds.
        """
        if depth > self.depth:
            raise ExpectationError(
                f"path {self.name} ends after {self.depth} rounds", remedy="ask for fewer rounds"
            )
        graph, report = self._walked()[depth - 1].finish()
        return ModelArtifact.of(graph), {**self._reported, "prune": plain(report)}

    def _walked(self) -> list[Waypoint]:
        if self._waypoints is None:
            self._waypoints = []
            try:
                self._walk(self._waypoints)
            except ExpectationError as error:
                # What was cut before stays of use; nothing at all is a path of no length.
                self.monitor.note(f"path {self.name} ends after {len(self._waypoints)} rounds: {error.cause}")
        return self._waypoints

    def _walk(self, found: list[Waypoint]) -> None:
        def visit(waypoint: Waypoint) -> None:
            found.append(waypoint)
            if self.is_lost(ModelArtifact.of(waypoint.model)):
                self.monitor.note(f"path {self.name}: too much is lost at {waypoint.left:.2f} of the cost")
                raise _FarEnoughError

        start = self.source
        if self.begins is not None:
            begun = self.begins()
            if begun is None:
                return
            start, self._reported = begun
        table = None if self.options.time is None or self.times is None else self.times()
        with suppress(_FarEnoughError), self.monitor.progress(f"cutting, path {self.name}") as progress:
            prune_graph(
                start.load(),
                self.data,
                self.options,
                target=self.target,
                progress=progress,
                table=table,
                visit=visit,
                wanted=self.source.load(),
            )


def path_options(
    source: ModelArtifact, data: CalibrationData, target: Target, options: OptimizeOptions, *, timed: bool
) -> dict[str, PruneOptions]:
    """Which paths are worth a walk, by name.

    Args:
        source: The model, clean.
        data: The samples.
        target: Whose multiples the widths keep.
        options: What is asked for.
        timed: Whether a table of times says what a neuron costs; MACs do otherwise.
    """
    common: dict[str, Any] = {
        "steps": ROUNDS,
        "exclude": options.exclude,
        "seed": options.seed,
        ("time" if timed else "macs"): DEEPEST,
    }
    found = {}
    if options.approximate is not True:
        found[EXACT] = PruneOptions(**common)
    if options.approximate is not False and _more_when_approximate(source, data, target):
        found[APPROXIMATE] = PruneOptions(approximate=True, **common)
    if find_branches(source.load(), sample_shapes_of(data)):
        found[SKIPPED] = found.get(APPROXIMATE, PruneOptions(**common))
    if len(data) < FEW_SAMPLES:
        found[BY_OUTPUT] = PruneOptions(criterion="output", **common)
    return found


def _more_when_approximate(source: ModelArtifact, data: CalibrationData, target: Target) -> bool:
    """Whether approximate cuts reach neurons that exact ones do not."""
    return _neurons(source, data, target, approximate=True) > _neurons(
        source, data, target, approximate=False
    )


def _neurons(source: ModelArtifact, data: CalibrationData, target: Target, *, approximate: bool) -> int:
    """How many neurons may be cut; planned by magnitude, which needs no run of the model."""
    blind = PruneOptions(ratio=0.5, criterion="magnitude", compensate=False, approximate=approximate)
    few = data.subset(data.batch_size_for(1), seed=0)
    try:
        outcome = prune_graph(source.load(), few, blind, target=target, plan_only=True)
    except ExpectationError:
        return 0
    return sum(group.width_before for group in outcome.report.plan)
