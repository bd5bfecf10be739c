"""The weight and the bias of a convolution or matrix product, in one layout for all three operators.

A weight is seen as ``(groups, outputs, inputs, taps)``: outputs and inputs of one group, and the places of the
kernel. A matrix product has one group and one tap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...core.tensors import Array
from ..folding import constant

LINEAR_OPS = frozenset({"Conv", "Gemm", "MatMul"})


def is_linear(node: ir.Node) -> bool:
    """Whether a node is a convolution, or a product with a constant matrix, of what it reads first."""
    if node.domain not in {"", "ai.onnx"} or node.op_type not in LINEAR_OPS or node.inputs[0] is None:
        return False
    weight = constant(node.inputs[1])
    return weight is not None and weight.ndim >= (3 if node.op_type == "Conv" else 2)


def in_blocks(node: ir.Node, weight: Array) -> Array:
    """A view of a weight with shape ``(groups, outputs, inputs, taps)``.

    Args:
        node: Whose weight it is.
        weight: The numbers, or anything of their shape; of a matrix product, two-dimensional. Where it is
            contiguous, what is written into the view is written into it.
    """
    if node.op_type == "Conv":
        groups = node.attributes.get_int("group", 1) or 1
        return weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
    flipped = node.op_type == "Gemm" and node.attributes.get_int("transB", 0) == 1
    return (weight if flipped else weight.T)[None, :, :, None]


def effective_weight(node: ir.Node) -> Array:
    """The weight of a node, ``alpha`` of a Gemm included."""
    weight = constant(node.inputs[1])
    assert weight is not None
    alpha = node.attributes.get_float("alpha", 1.0) if node.op_type == "Gemm" else 1.0
    return weight if alpha == 1.0 else weight * np.float32(alpha or 0.0)


def effective_bias(node: ir.Node, channels: int) -> Array | None:
    """The bias that a node adds itself, shape ``(channels,)``, ``beta`` included; None where it adds none."""
    if node.op_type == "MatMul" or len(node.inputs) < 3 or node.inputs[2] is None:
        return None
    array = constant(node.inputs[2])
    assert array is not None
    beta = node.attributes.get_float("beta", 1.0) if node.op_type == "Gemm" else 1.0
    return np.broadcast_to(array.reshape(-1) * np.float32(beta or 0.0), (channels,))


@dataclass(frozen=True)
class BiasBehind:
    """The constant that an Add gives to the outputs of a matrix product.

    Attributes:
        add: The Add.
        index: Which of its inputs the constant is.
    """

    add: ir.Node
    index: int

    @property
    def content(self) -> Array:
        """The constant."""
        array = constant(self.add.inputs[self.index])
        assert array is not None
        return array


def bias_behind(node: ir.Node, channels: int) -> BiasBehind | None:
    """The Add of a constant that alone reads a MatMul, where it can take one number for each channel.

    Args:
        node: The product.
        channels: Its output channels, along the last axis.
    """
    uses = list(node.outputs[0].uses())
    if len(uses) != 1 or node.outputs[0].is_graph_output() or uses[0].node.op_type != "Add":
        return None
    add, index = uses[0].node, 1 - uses[0].idx
    array = constant(add.inputs[index])
    if add.graph is not node.graph or array is None or array.dtype != np.float32:
        return None
    fits = array.ndim == 0 or array.shape[-1] in {1, channels}
    return BiasBehind(add, index) if fits else None


def own_constant(value: ir.Value | None) -> Array | None:
    """The float32 numbers of a constant that one node alone reads, or None."""
    array = constant(value)
    if value is None or array is None or array.dtype != np.float32 or len(value.uses()) != 1:
        return None
    return array


def rewrite(value: ir.Value, array: Array) -> None:
    """Give a constant other numbers; its type and shape stay."""
    old = value.const_value
    assert old is not None
    content = np.ascontiguousarray(array.astype(old.dtype.numpy())).reshape(tuple(old.shape.numpy()))
    value.const_value = ir.tensor(content, dtype=old.dtype, name=value.name)
