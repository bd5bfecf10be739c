"""What stands behind a layer: activations that a quantized range makes superfluous, or that undo the integers."""

from __future__ import annotations

import math

import onnx_ir as ir

from ..folding import constant

Limits = tuple[float, float]

_FUSES = frozenset({"Conv", "Gemm", "Add"})

_JOINS_GEMM = frozenset(
    "Elu HardSigmoid LeakyRelu Relu Selu Sigmoid Softplus Softsign Tanh ThresholdedRelu".split()
)
"""Activations that ONNX Runtime joins with a float Gemm before it looks for Q/DQ (its GemmActivationFusion)."""


def absorbable(candidates: list[ir.Node]) -> dict[ir.Node, ir.Node]:
    """For each node, the Relu or Clip behind it whose effect is that of an integer range starting at zero.

    Its result has to be the only reading of the node's output. ONNX Runtime then removes it, because the
    quantization behind it clips as much.
    """
    pairs = {}
    for node in candidates:
        users = list(node.outputs[0].uses())
        if node.op_type not in _FUSES or len(users) != 1 or node.outputs[0].is_graph_output():
            continue
        behind = users[0].node
        if behind.graph is node.graph and (behind.op_type == "Relu" or clip_limits(behind) is not None):
            pairs[node] = behind
    return pairs


def may_end_in_float(owner: ir.Node, value: ir.Value) -> bool:
    """Whether a layer can run in integers and hand on a value in float, without a Q/DQ pair behind it.

    Integer matrix products can. A Gemm cannot where an activation stands behind it: ONNX Runtime would make one
    float operator of the two.

    Args:
        owner: The layer.
        value: What it makes, behind an activation that it has absorbed.
    """
    if owner.op_type == "MatMul":
        return True
    is_bare = value.producer() is owner and all(u.node.op_type not in _JOINS_GEMM for u in value.uses())
    return owner.op_type == "Gemm" and is_bare


def clip_limits(node: ir.Node) -> Limits | None:
    """The limits of a Clip that starts at zero, or None for anything else."""
    limits = _limits(node) if node.op_type == "Clip" else None
    return limits if limits is not None and limits[0] == 0.0 and limits[1] > 0.0 else None


def let_through(value: ir.Value) -> Limits:
    """What of a value its only reader tells apart: a Relu nothing below zero, a Clip nothing beyond its limits."""
    users = list(value.uses())
    is_read_once = len(users) == 1 and users[0].idx == 0 and not value.is_graph_output()
    limits = _limits(users[0].node) if is_read_once else None
    return limits if limits is not None else (-math.inf, math.inf)


def _limits(node: ir.Node) -> Limits | None:
    """Below and above which a Relu or Clip hands on the same number, or None where these are not known."""
    if node.domain not in {"", "ai.onnx"} or node.op_type not in {"Relu", "Clip"}:
        return None
    if node.op_type == "Relu":
        return 0.0, math.inf
    if len(node.inputs) == 1:
        return node.attributes.get_float("min", -math.inf), node.attributes.get_float("max", math.inf)
    arrays = [constant(v) if v is not None else None for v in node.inputs[1:]]
    if any(a is None and v is not None for a, v in zip(arrays, node.inputs[1:], strict=True)):
        return None
    low = float(arrays[0]) if arrays[0] is not None else -math.inf
    return low, float(arrays[1]) if len(arrays) > 1 and arrays[1] is not None else math.inf
