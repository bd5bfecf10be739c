"""Which rule each operator has. What is not here freezes everything it touches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from ..emitter import Emitter
from . import (
    attention,
    control,
    convolution,
    elementwise,
    integer,
    layout,
    product,
    recurrent,
    selection,
    statistics,
)


def _single(node: ir.Node, e: Emitter) -> int:
    return 1


@dataclass(frozen=True)
class Rule:
    """How ids pass through an operator.

    Attributes:
        emit: Writes ties, pins and contractions of a node, for one of its options.
        options: How many ways there are to carry the ids through a node (carriers of a reshape, for one).
    """

    emit: Callable[[ir.Node, Emitter, int], None]
    options: Callable[[ir.Node, Emitter], int] = _single


_UNARY = (
    "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Cast Ceil Celu Clip Cos Cosh Elu Erf Exp Floor Gelu "
    "HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink "
    "Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu"
).split()
_BROADCAST = (
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean "
    "Min Mod Mul Or Pow PRelu Sub Sum Where Xor"
).split()
_POOLS = "AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool".split()
_REDUCTIONS = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
    "ReduceSumSquare"
).split()

_ONNX: dict[str, Rule] = {
    **dict.fromkeys(_UNARY, Rule(elementwise.unary)),
    **dict.fromkeys(_BROADCAST, Rule(elementwise.broadcast)),
    **dict.fromkeys(_POOLS, Rule(statistics.pool)),
    **dict.fromkeys(_REDUCTIONS, Rule(statistics.reduce)),
    **dict.fromkeys(recurrent.GATES, Rule(recurrent.recurrent)),
    **dict.fromkeys(("ArgMax", "ArgMin"), Rule(statistics.arg_reduce)),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax", "LpNormalization"), Rule(statistics.along_axis)),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), Rule(statistics.layer_normalization)),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), Rule(statistics.quantize_linear)),
    "Attention": Rule(attention.attention_onnx),
    "BatchNormalization": Rule(statistics.batch_normalization),
    "Concat": Rule(selection.concat),
    "Conv": Rule(convolution.conv, convolution.conv_options),
    "ConvInteger": Rule(integer.conv_integer, integer.conv_options),
    "ConvTranspose": Rule(convolution.conv_transpose, convolution.conv_options),
    "DynamicQuantizeLinear": Rule(integer.dynamic_quantize),
    "DepthToSpace": Rule(layout.depth_to_space),
    "Dropout": Rule(elementwise.dropout),
    "Einsum": Rule(product.einsum),
    "Expand": Rule(layout.expand),
    "Flatten": Rule(layout.flatten, layout.reshape_options),
    "Gather": Rule(selection.gather),
    "Gemm": Rule(product.gemm),
    "If": Rule(control.if_),
    "GroupNormalization": Rule(statistics.group_normalization),
    "InstanceNormalization": Rule(statistics.instance_normalization),
    "LRN": Rule(statistics.channel_neighbours),
    "Loop": Rule(control.loop),
    "MatMul": Rule(product.matmul),
    "MatMulInteger": Rule(integer.matmul_integer),
    "Pad": Rule(selection.pad),
    "QLinearConv": Rule(integer.qlinear_conv, integer.conv_options),
    "QLinearMatMul": Rule(integer.qlinear_matmul),
    "Reshape": Rule(layout.reshape, layout.reshape_options),
    "Resize": Rule(statistics.resize),
    "Scan": Rule(control.scan),
    "Shape": Rule(selection.shape),
    "Slice": Rule(selection.slice_),
    "SpaceToDepth": Rule(layout.space_to_depth),
    "Split": Rule(selection.split),
    "Squeeze": Rule(layout.squeeze),
    "Tile": Rule(layout.tile),
    "Transpose": Rule(layout.transpose),
    "Unsqueeze": Rule(layout.unsqueeze),
    "Upsample": Rule(statistics.resize),
}

_MICROSOFT: dict[str, Rule] = {
    "Attention": Rule(attention.attention),
    "BiasGelu": Rule(elementwise.broadcast),
    "FastGelu": Rule(elementwise.broadcast),
    "Gelu": Rule(elementwise.unary),
    "MultiHeadAttention": Rule(attention.multi_head_attention),
    "QLinearAdd": Rule(integer.qlinear_binary),
    "QLinearLeakyRelu": Rule(elementwise.unary),
    "QLinearMul": Rule(integer.qlinear_binary),
    "QLinearSigmoid": Rule(elementwise.unary),
    "QuickGelu": Rule(elementwise.unary),
    "SkipLayerNormalization": Rule(statistics.skip_layer_normalization),
}

RULES: dict[tuple[str, str], Rule] = {
    **{("", name): rule for name, rule in _ONNX.items()},
    **{("com.microsoft", name): rule for name, rule in _MICROSOFT.items()},
}
"""Rules by domain and operator."""
