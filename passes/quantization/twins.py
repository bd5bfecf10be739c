"""A graph copied together with what was decided about its nodes and values."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from .parameters import ActivationParameters
from .placement import Placement


def copy_placed(
    model: ir.Model, placement: Placement, parameters: Mapping[ir.Value, ActivationParameters]
) -> tuple[ir.Model, Placement, dict[ir.Value, ActivationParameters]]:
    """Copy a model, so that the float one stays for the comparison.

    Args:
        model: Left as it is.
        placement: What becomes integer, in its nodes and values.
        parameters: Scale and zero-point of its values.

    Returns:
        The copy, and both in the copy's nodes and values.
    """
    copy = model.clone()
    nodes = dict(zip(model.graph, copy.graph, strict=True))
    values = dict(zip(model.graph.inputs, copy.graph.inputs, strict=True))
    for one, other in nodes.items():
        values |= dict(zip(one.outputs, other.outputs, strict=True))
    moved = {values[value]: found for value, found in parameters.items()}
    return copy, placement.copied(nodes, values), moved
