"""Matrix products with a constant matrix: which there are, their weight, their bias, and something in their place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from ...core.protos import DEFAULT_DOMAINS
from ...core.reports import Skip
from ...core.tensors import Array
from ..constants import add_constant
from ..folding import constant
from .eligibility import is_named, require_finite
from .linear_nodes import effective_weight

PRODUCTS = frozenset({"MatMul", "Gemm"})
"""Operators that multiply with a matrix."""


def is_standard(node: ir.Node, op_types: frozenset[str]) -> bool:
    """Whether a node is one of these standard operators."""
    return node.op_type in op_types and node.domain in DEFAULT_DOMAINS


def why_no_product(node: ir.Node, exclude: Sequence[str]) -> Skip | None:
    """Why a MatMul or Gemm cannot have its weight quantized, or None.

    Raises:
        ModelError: The weight is not finite.
    """
    name, weight = node.name or "", constant(node.inputs[1])
    if is_named(node, exclude):
        return Skip(name, None, "excluded", "excluded by the user")
    if weight is None or weight.ndim != 2 or weight.dtype != np.float32:
        return Skip(name, None, "constant", "its weight is not a constant float32 matrix")
    if node.attributes.get_int("transA", 0):
        return Skip(name, None, "transposed", "its activation is transposed")
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None and node.attributes.get_float("beta", 1.0) != 1.0 and constant(bias) is None:
        return Skip(name, None, "bias", "it scales a bias that is computed")
    require_finite(node, 1)
    return None


def matrix_of(node: ir.Node) -> Array:
    """The weight of a MatMul or Gemm as ``(inputs, outputs)``, with a Gemm's ``alpha`` in it."""
    weight = effective_weight(node)
    flipped = node.op_type == "Gemm" and node.attributes.get_int("transB", 0) == 1
    return weight.T if flipped else weight


def bias_nodes(node: ir.Node, product: ir.Value) -> Iterator[ir.Node]:
    """The Add that a Gemm's bias needs behind another product; ``beta`` goes into the bias."""
    bias = node.inputs[2] if node.op_type == "Gemm" and len(node.inputs) > 2 else None
    if bias is None:
        return
    array, beta = constant(bias), node.attributes.get_float("beta", 1.0)
    if array is not None and beta != 1.0:
        bias = add_constant(
            graph_of(node), f"{node.name}.{bias.name}_scaled", array * np.float32(beta or 0.0)
        )
    yield ir.node("Add", [product, bias], name=f"{node.name}_bias")


def graph_of(node: ir.Node) -> ir.Graph:
    """The graph that a node stands in."""
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    return graph


def put_in_place(node: ir.Node, nodes: Sequence[ir.Node]) -> None:
    """Replace a node by others; outputs of the last take over names, types and uses.

    Args:
        node: Taken out of its graph.
        nodes: In order, all of them named; the values between them are named after their nodes.
    """
    graph, old, new = graph_of(node), list(node.outputs), list(nodes[-1].outputs)
    names = [value.name for value in old]
    for value, fresh in zip(old, new, strict=False):
        fresh.type, fresh.shape = value.type, value.shape
    graph.insert_before(node, nodes)
    ir.convenience.replace_all_uses_with(old[: len(new)], new, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    for value, name in zip(new, names, strict=False):
        value.name = name
    for inner in nodes[:-1]:
        for index, value in enumerate(inner.outputs):
            value.name = f"{inner.name}/{index}"
