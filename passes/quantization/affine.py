"""Exact rearrangements that let more of a graph become integer.

A MaxPool commutes with a normalization whose scales are above zero, because rounding keeps order too; pooled
first, the value is still in the integers of the convolution before it, and smaller.

ONNX Runtime joins ``MatMul`` and ``Add`` to ``Gemm`` before it looks at Q/DQ; with a float bias no integer kernel
fits the result, and the weight would be dequantized on every run. Joined beforehand, the bias is quantized too.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from ..folding import constant
from .costs import Shape


def join_biases(model: ir.Model, shapes: Mapping[str, Shape]) -> int:
    """Replace ``MatMul`` of two matrices followed by ``Add`` of a constant row by ``Gemm``.

    Args:
        model: Changed in place.
        shapes: The shape of each float value on one sample.

    Returns:
        Number of pairs joined.
    """
    joined = 0
    for node in list(model.graph):
        bias = _bias_behind(node, shapes)
        if bias is not None:
            _join(node, *bias)
            joined += 1
    return joined


def _bias_behind(node: ir.Node, shapes: Mapping[str, Shape]) -> tuple[ir.Node, ir.Value] | None:
    """The Add behind a matrix product, and the constant that it adds to each row."""
    if node.op_type != "MatMul" or node.domain not in {"", "ai.onnx"} or node.inputs[0] is None:
        return None
    weight, users = constant(node.inputs[1]), list(node.outputs[0].uses())
    if weight is None or weight.ndim != 2 or len(shapes.get(node.inputs[0].name or "", ())) != 2:
        return None
    if len(users) != 1 or node.outputs[0].is_graph_output() or users[0].node.op_type != "Add":
        return None
    add = users[0].node
    other = add.inputs[1 - users[0].idx]
    array = constant(other)
    if add.graph is not node.graph or array is None or other is None:
        return None
    return (add, other) if array.shape in {(weight.shape[1],), (1, weight.shape[1])} else None


def _join(node: ir.Node, add: ir.Node, bias: ir.Value) -> None:
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    output, name = add.outputs[0], add.outputs[0].name
    result = ir.Value(name=name, type=output.type, shape=output.shape)
    gemm = ir.node("Gemm", [*node.inputs, bias], outputs=[result], name=node.name)
    graph.insert_before(add, gemm)
    ir.convenience.replace_all_uses_with(output, result, replace_graph_outputs=True)
    graph.remove([add, node], safe=True)


def postpone_normalizations(model: ir.Model) -> int:
    """Move a BatchNormalization with scales above zero behind the MaxPool that alone reads it.

    Args:
        model: Changed in place; shapes of the values between are forgotten.

    Returns:
        Number of normalizations moved.
    """
    moved = 0
    for pool in list(model.graph):
        norm = pool.inputs[0].producer() if pool.op_type == "MaxPool" and pool.inputs[0] is not None else None
        if norm is not None and _commutes(norm, pool):
            _swap(norm, pool)
            moved += 1
    return moved


def _commutes(norm: ir.Node, pool: ir.Node) -> bool:
    training = norm.attributes.get_int("training_mode", 0)
    if norm.op_type != "BatchNormalization" or training:
        return False
    if any(v.uses() for v in (*norm.outputs[1:], *pool.outputs[1:])):
        return False
    alone = len(norm.outputs[0].uses()) == 1 and not norm.outputs[0].is_graph_output()
    gamma = constant(norm.inputs[1])
    return alone and not pool.outputs[0].is_graph_output() and gamma is not None and bool(np.all(gamma > 0))


def _swap(norm: ir.Node, pool: ir.Node) -> None:
    graph, source, middle, end = norm.graph, norm.inputs[0], norm.outputs[0], pool.outputs[0]
    assert isinstance(graph, ir.Graph)
    middle.shape, middle.type = end.shape, end.type
    ir.convenience.replace_all_uses_with(end, middle)
    pool.replace_input_with(0, source)
    norm.replace_input_with(0, end)
    graph.remove(norm)
    graph.insert_after(pool, norm)
