"""A plan of which neurons go: made once, kept as a document, replayed on any graph of the same shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...core.errors import UsageError
from ..coupling import Coupling, Group

PLAN_SCHEMA = "sardonyx.plan/1"
"""Names the form of a plan's document."""


@dataclass(frozen=True)
class PlannedCut:
    """What goes from one group.

    Attributes:
        name: The group's name.
        width: Its neurons before.
        cut: Positions of the neurons that go, rising, each below ``width``.
        members: The axes they are cut from, as ``initializer axis``, sorted.
    """

    name: str
    width: int
    cut: tuple[int, ...]
    members: tuple[str, ...]


@dataclass(frozen=True)
class PrunePlan:
    """Which neurons go, by group.

    Attributes:
        cuts: One entry for each group that loses neurons.
        approximate: Whether groups are in it over which a LayerNormalization or a mean runs.
    """

    cuts: tuple[PlannedCut, ...]
    approximate: bool = False

    def labels(self, groups: Sequence[Group]) -> list[npt.NDArray[np.int64]]:
        """The classes that go, for each group.

        Args:
            groups: The groups of the graph in hand.

        Raises:
            UsageError: The plan names a group that is not there, or that has another shape.
        """
        by_name = {cut.name: cut for cut in self.cuts}
        found = []
        for group in groups:
            cut = by_name.pop(group.name, None)
            if cut is None:
                found.append(group.classes[:0])
                continue
            if cut.width != group.size or cut.members != members_of(group):
                raise UsageError(
                    f"the plan's {cut.name} has {cut.width} neurons, the model's {group.size}, or other weights",
                    remedy="a plan fits models of the shape it was made for",
                )
            found.append(group.classes[list(cut.cut)])
        if by_name:
            raise UsageError(
                f"the plan cuts {next(iter(by_name))}, which is no group that the model lets be cut",
                remedy="a plan fits models of the shape it was made for; see `sardonyx inspect --coupling`",
            )
        return found


def plan_of(
    coupling: Coupling, alive: Mapping[tuple[ir.Value, int], npt.NDArray[np.int64]], *, approximate: bool
) -> PrunePlan:
    """The plan that has been carried out on a graph.

    Args:
        coupling: The analysis before any cut.
        alive: For every axis that was cut, which of its indices at first are left.
        approximate: Whether approximate cuts were allowed.
    """
    cuts = []
    for group in coupling.groups:
        member = group.members[0]
        left = alive.get((member.value, member.axis))
        labels = coupling.classes_of(member.value, member.axis)
        if left is None or labels is None:
            continue
        gone = np.flatnonzero(~np.isin(group.classes, labels[left]))
        if len(gone):
            cuts.append(PlannedCut(group.name, group.size, tuple(map(int, gone)), members_of(group)))
    return PrunePlan(tuple(cuts), approximate)


def members_of(group: Group) -> tuple[str, ...]:
    """The axes a group is cut from, as ``initializer axis``, sorted."""
    return tuple(sorted(f"{member.value.name} {member.axis}" for member in group.members))
