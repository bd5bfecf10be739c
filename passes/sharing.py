"""Vectors that an exporter stored once because they were equal, given back to each layer that reads them.

torch's exporters merge equal initializers: biases that are all zero, normalisations that nobody trained. Where layers
share a vector their channels could only be cut together.
"""

from __future__ import annotations

import onnx_ir as ir

from .constants import add_constant


def separate_vectors(model: ir.Model) -> int:
    """Give every layer a copy of its own of the vectors that it reads, of a weight's parameters up to rank 1.

    Matrices stay shared: equal ones are tied on purpose.

    Args:
        model: Constants lifted to initializers, nodes of the main graph only; changed in place.

    Returns:
        How many copies were made.
    """
    copies = 0
    for node in model.graph:
        for index, value in enumerate(node.inputs):
            root = _root(value)
            if (
                root is None
                or root.const_value is None
                or len(root.const_value.shape) > 1
                or root.const_value.size < 2
            ):
                continue
            if (
                not root.const_value.dtype.is_floating_point()
                or node.op_type == "Identity"
                or _readers(root) < 2
            ):
                continue
            copies += 1
            stem = f"{root.name}_{node.outputs[0].name}"
            own = add_constant(model.graph, stem, root.const_value.numpy(), root.const_value.dtype)
            node.replace_input_with(index, own)
    return copies


def _root(value: ir.Value | None) -> ir.Value | None:
    """The initializer that a value is, through Identity nodes."""
    while value is not None and (maker := value.producer()) is not None and maker.op_type == "Identity":
        value = maker.inputs[0]
    return value if value is not None and value.is_initializer() and not value.is_graph_input() else None


def _readers(value: ir.Value) -> int:
    """How many inputs of nodes read a value, through Identity nodes."""
    return sum(_readers(use.node.outputs[0]) if use.node.op_type == "Identity" else 1 for use in value.uses())
