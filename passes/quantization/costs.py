"""What a node gains in integers, and what a conversion costs, in nanoseconds of one thread, for one sample.

Measured with ONNX Runtime 1.32 on an AVX-512 CPU with VNNI, activations unsigned, weights signed; 120
convolutions of four production networks and two small ones. Only the proportions matter: they decide where a
conversion pays. A dense convolution saves 0.0125 ns for each multiply-accumulate and loses for each tap of its
kernel that is gathered for an output pixel, most where a tap is only one to three channels. A depthwise one
*loses*: little with a 3x3 kernel, much with a larger one, so it becomes integer only where that spares
conversions on both sides. Conversions come with a change of layout where the value is an image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx_ir as ir

Shape = tuple[int, ...]

_CALL_NS = 2000.0
"""What an integer convolution or matrix product takes before its first number."""

_CONVERSION_CALL_NS = 1500.0
_CONVERSION_NS = 0.3
_LAYOUT_NS = 0.5

POOLED_NS = 12.0
"""QuantizeLinear behind a float MaxPool, an element: ONNX Runtime moves it in front of the MaxPool, which then
has no fast integer kernel unless it is in the layout of an integer convolution."""

_DENSE_NS = 0.0125
_TAP_NS = 1.2
_THIN_TAP_NS = 3.5
_DEPTHWISE_NS = -0.01
_WIDE_DEPTHWISE_NS = -0.04
_WIDE_KERNEL = 9
_THIN_CHANNELS = 4
_PRODUCT_NS = 0.01
_MATMUL_NS = 0.3

_PER_ELEMENT_NS = {
    "Add": -0.02,
    "Mul": -0.25,
    "Concat": 0.05,
    "Sigmoid": 0.05,
    "LeakyRelu": 0.0,
    "AveragePool": 0.0,
    "GlobalAveragePool": 0.0,
    "MaxPool": -0.2,
}
_MOVE_NS = 0.01


LAYOUT_FREE = frozenset(
    {
        "Abs",
        "Add",
        "Clip",
        "Div",
        "Elu",
        "Erf",
        "Exp",
        "HardSigmoid",
        "HardSwish",
        "LeakyRelu",
        "Max",
        "Min",
        "Mul",
        "Pow",
        "Relu",
        "Sigmoid",
        "Softplus",
        "Sqrt",
        "Sub",
        "Tanh",
    }
)
"""Operators that work in any layout, so that a conversion beside them changes none."""


def conversion_ns(shape: Shape, *, layout: bool, batch: int = 1) -> float:
    """QuantizeLinear or DequantizeLinear of a value.

    Args:
        shape: Its shape on one sample.
        layout: Whether an image's layout changes with it.
        batch: Samples in one run, among which the cost of a call is shared.
    """
    each = _CONVERSION_NS + (_LAYOUT_NS if layout and len(shape) == 4 else 0.0)
    return _CONVERSION_CALL_NS / batch + math.prod(shape) * each


def macs_of(node: ir.Node, shapes: Mapping[str, Shape]) -> int:
    """Multiply-accumulates of a convolution or a matrix product over the measured shapes."""
    outputs = math.prod(shapes[node.outputs[0].name or ""])
    if node.op_type == "Conv":
        return outputs * math.prod(_dims(node, 1, shapes)[1:])
    transposed = node.attributes.get_int("transA", 0)
    return outputs * _dims(node, 0, shapes)[0 if transposed else -1]


def gain_ns(node: ir.Node, shapes: Mapping[str, Shape], batch: int = 1) -> float:
    """What one sample gains when the node runs in integers, conversions not counted; negative for a loss.

    Args:
        node: A node that may become integer.
        shapes: The shape of each float value on one sample.
        batch: Samples in one run, among which the cost of a call is shared.
    """
    outputs = math.prod(shapes[node.outputs[0].name or ""])
    if node.op_type == "Conv":
        return _conv_gain(node, outputs, _dims(node, 1, shapes)) - _CALL_NS / batch
    if node.op_type in {"MatMul", "Gemm"}:
        weight = node.inputs[1]
        dense = weight is not None and weight.const_value is not None
        rate = _DENSE_NS if dense else _PRODUCT_NS
        return macs_of(node, shapes) * rate - outputs * _MATMUL_NS - _CALL_NS / batch
    return outputs * _PER_ELEMENT_NS.get(node.op_type, _MOVE_NS)


def _conv_gain(node: ir.Node, outputs: int, weight: Shape) -> float:
    taps, macs = math.prod(weight[2:]), outputs * math.prod(weight[1:])
    if weight[1] < _THIN_CHANNELS and node.attributes.get_int("group", 1) > 1:
        return macs * (_DEPTHWISE_NS if taps <= _WIDE_KERNEL else _WIDE_DEPTHWISE_NS)
    gathered = outputs * taps / weight[0] if taps > 1 else 0.0
    return macs * _DENSE_NS - gathered * (_THIN_TAP_NS if weight[1] < _THIN_CHANNELS else _TAP_NS)


def _dims(node: ir.Node, index: int, shapes: Mapping[str, Shape]) -> Shape:
    value = node.inputs[index]
    assert value is not None
    if value.const_value is not None:
        return tuple(value.const_value.shape.numpy())
    return shapes[value.name or ""]
