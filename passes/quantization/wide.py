"""Which values have 16 bits: those that a node reads or makes whose activations were asked for in 16 bits."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ...core.targets import IntType
from .eligibility import is_named
from .placement import Placement

_WIDE: dict[IntType, IntType] = {"uint8": "uint16", "int8": "int16", "uint16": "uint16", "int16": "int16"}


def wide_type(kind: IntType) -> IntType:
    """The 16-bit type of the same signedness."""
    return _WIDE[kind]


def is_wide(placement: Placement, root: ir.Value, patterns: Sequence[str]) -> bool:
    """Whether a value, or one that shares its parameters, belongs to a node that a pattern names."""
    if not patterns:
        return False
    nodes = set()
    for value in placement.values:
        if placement.root(value) is root:
            owner = placement.owner(value)
            nodes |= {owner, *(use.node for use in value.uses())} & set(placement.nodes)
    return any(is_named(node, patterns) for node in nodes if node)
