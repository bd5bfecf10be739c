"""Picking from what was just joined: a Gather behind a Concat reads one of its inputs.

torch writes the last states of recurrent layers as one stack of which the model uses the last: read through the stack,
the hidden units of all layers would go together.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .constants import add_constant
from .folding import constant

_ONNX = {"", "ai.onnx"}


def pick_before_joining(model: ir.Model) -> int:
    """Let each Gather that picks from a single input of a Concat read that input.

    Args:
        model: Shapes inferred, constants lifted to initializers; changed in place. A Concat that nobody reads any
            more stays for a later pass.

    Returns:
        How many Gather nodes were changed.
    """
    return sum(_pick(node) for node in list(model.graph) if node.op_type == "Gather" and node.domain in _ONNX)


def _pick(node: ir.Node) -> bool:
    joined, graph = node.inputs[0], node.graph
    indices = constant(node.inputs[1])
    concat = joined.producer() if joined is not None else None
    if concat is None or concat.op_type != "Concat" or indices is None or not isinstance(graph, ir.Graph):
        return False
    sizes = _sizes(concat, node)
    if sizes is None:
        return False
    ends = np.cumsum(sizes)
    wanted = np.where(indices < 0, indices + ends[-1], indices)
    owners = set(np.searchsorted(ends, wanted.ravel(), side="right").tolist())
    if len(owners) != 1:
        return False
    (owner,) = owners
    node.replace_input_with(0, concat.inputs[owner])
    local = (wanted - (ends[owner] - sizes[owner])).astype(np.int64)
    node.replace_input_with(1, add_constant(graph, f"{node.outputs[0].name}_index", np.asarray(local)))
    return True


def _sizes(concat: ir.Node, gather: ir.Node) -> list[int] | None:
    """Sizes of the joined parts on the axis that is picked from; None where the axes differ or one is unknown."""
    sizes = []
    for value in concat.inputs:
        shape = value.shape if value is not None else None
        if shape is None or not len(shape):
            return None
        axis = concat.attributes.get_int("axis", 0) % len(shape)
        size = shape[axis]
        if axis != gather.attributes.get_int("axis", 0) % len(shape) or not isinstance(size, int):
            return None
        sizes.append(size)
    return sizes
