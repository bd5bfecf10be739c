"""Kinds of groups: those whose neurons stand in the same place of the same pattern (Fang et al., Isomorphic Pruning, 2024).

Scores of neurons that do different work cannot be compared: those of an inner layer with those of a residual stage,
those of a head with those of a hidden unit. Within a kind they can.
"""

from __future__ import annotations

from ..coupling import Group, Member

Kind = frozenset[tuple[str, int, int, tuple[int, ...]]]
"""Operator, input, axis and kernel size of every place that a group's neurons are cut from, each once."""


def kind_of(group: Group) -> Kind:
    """The kind of a group."""
    return frozenset(place for member in group.members for place in _places(member))


def _places(member: Member) -> list[tuple[str, int, int, tuple[int, ...]]]:
    tensor = member.value.const_value
    kernel = () if tensor is None else tuple(int(n) for n in tensor.shape.numpy()[2:])
    return [(use.node.op_type, use.idx, member.axis, kernel) for use in member.value.uses()]
