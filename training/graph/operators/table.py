"""Which function each operator has, and from which version on it is right."""

from __future__ import annotations

import onnx_ir as ir
import torch
from torch.nn import functional

from ..plan import refuse_node
from . import (
    attention,
    blocked,
    control,
    conversion,
    convolution,
    elementwise,
    indexing,
    linear,
    losses,
    normalization,
    pooling,
    quantized,
    recurrent,
    reduction,
    resize,
    sampling,
    sequences,
    shaping,
    spectral,
    states,
)
from .elementwise import plain
from .operator import Operator

Versions = tuple[Operator, ...]

_WEIGHT = frozenset((1, 2))
_FIRST, _SECOND, _BOUNDS = frozenset((0,)), frozenset((1,)), frozenset((1, 2))
_OLDEST = 7
"""Before this version broadcasting was an attribute, and Dropout and BatchNormalization took others."""


def _function(function: object, since: int = 1, **more: object) -> Versions:
    return (Operator(plain(function), since, **more),)  # type: ignore[arg-type]


_UNARY: dict[str, Versions] = {
    "Abs": _function(torch.abs),
    "Acos": _function(torch.acos),
    "Acosh": _function(torch.acosh),
    "Asin": _function(torch.asin),
    "Asinh": _function(torch.asinh),
    "Atan": _function(torch.atan),
    "Atanh": _function(torch.atanh),
    "BitwiseNot": _function(torch.bitwise_not),
    "Ceil": _function(torch.ceil),
    "Celu": (Operator(elementwise.celu),),
    "Clip": (
        Operator(elementwise.clip_by_attributes),
        Operator(elementwise.clip, 11, settings=_BOUNDS),
    ),
    "Cos": _function(torch.cos),
    "Cosh": _function(torch.cosh),
    "Dropout": (
        Operator(elementwise.dropout_by_attribute, _OLDEST),
        Operator(elementwise.dropout, 12, host=_BOUNDS),
    ),
    "Elu": (Operator(elementwise.elu),),
    "Erf": _function(torch.erf),
    "Exp": _function(torch.exp),
    "Floor": _function(torch.floor),
    "Gelu": (Operator(elementwise.gelu),),
    "HardSigmoid": (Operator(elementwise.hard_sigmoid),),
    "HardSwish": _function(elementwise.hard_swish),
    "Identity": (Operator(plain(lambda x: x), any_type=True),),
    "IsInf": (Operator(elementwise.is_infinite),),
    "IsNaN": _function(torch.isnan),
    "LeakyRelu": (Operator(elementwise.leaky_relu),),
    "Log": _function(torch.log),
    "Mish": _function(functional.mish),
    "Neg": _function(torch.neg),
    "Not": _function(torch.logical_not),
    "Reciprocal": _function(torch.reciprocal),
    "Relu": _function(torch.relu),
    "Round": _function(torch.round),
    "Selu": (Operator(elementwise.selu),),
    "Shrink": (Operator(elementwise.shrink),),
    "Sigmoid": _function(torch.sigmoid),
    "Sign": _function(torch.sign),
    "Sin": _function(torch.sin),
    "Sinh": _function(torch.sinh),
    "Softplus": _function(elementwise.softplus),
    "Softsign": _function(functional.softsign),
    "Sqrt": _function(torch.sqrt),
    "Swish": (Operator(elementwise.swish),),
    "Tan": _function(torch.tan),
    "Tanh": _function(torch.tanh),
    "ThresholdedRelu": (Operator(elementwise.thresholded_relu),),
}

_BROADCAST: dict[str, Versions] = {
    "Add": _function(torch.add, _OLDEST),
    "And": _function(torch.logical_and, _OLDEST),
    "BitShift": (Operator(elementwise.bit_shift),),
    "BitwiseAnd": _function(torch.bitwise_and),
    "BitwiseOr": _function(torch.bitwise_or),
    "BitwiseXor": _function(torch.bitwise_xor),
    "Div": _function(elementwise.divide, _OLDEST),
    "Equal": _function(torch.eq, _OLDEST, any_type=True),
    "Greater": _function(torch.gt, _OLDEST, any_type=True),
    "GreaterOrEqual": _function(torch.ge, any_type=True),
    "Less": _function(torch.lt, _OLDEST, any_type=True),
    "LessOrEqual": _function(torch.le, any_type=True),
    "Max": (Operator(elementwise.reduce_by(torch.maximum), 6, any_type=True),),
    "Mean": _function(elementwise.mean, 6),
    "Min": (Operator(elementwise.reduce_by(torch.minimum), 6, any_type=True),),
    "Mod": (Operator(elementwise.modulo, any_type=True),),
    "Mul": _function(torch.mul, _OLDEST),
    "Or": _function(torch.logical_or, _OLDEST),
    "PRelu": _function(elementwise.prelu, _OLDEST, weights=_SECOND),
    "Pow": _function(elementwise.power, _OLDEST),
    "Sub": _function(torch.sub, _OLDEST),
    "Sum": (Operator(elementwise.reduce_by(torch.add), 6),),
    "Where": _function(elementwise.select, any_type=True),
    "Xor": _function(torch.logical_xor, _OLDEST),
}

_LINEAR: dict[str, Versions] = {
    "Conv": (Operator(convolution.conv, weights=_WEIGHT),),
    "ConvTranspose": (Operator(convolution.conv_transpose, weights=_WEIGHT),),
    "Det": _function(linear.determinant),
    "Einsum": (Operator(linear.einsum, weights=frozenset((0, 1))),),
    "Gemm": (Operator(linear.gemm, _OLDEST, weights=frozenset((0, 1, 2))),),
    "MatMul": _function(torch.matmul, weights=frozenset((0, 1))),
}

_POOLING: dict[str, Versions] = {
    "AveragePool": (Operator(pooling.average_pool),),
    "GlobalAveragePool": _function(pooling.global_average_pool),
    "GlobalLpPool": (Operator(pooling.global_lp_pool, 2),),
    "GlobalMaxPool": _function(pooling.global_max_pool),
    "LpPool": (Operator(pooling.lp_pool, 2),),
    "MaxPool": (Operator(pooling.max_pool),),
    "MaxUnpool": (Operator(pooling.max_unpool, host=frozenset((2,))),),
}

_NORMALIZATION: dict[str, Versions] = {
    "BatchNormalization": (Operator(normalization.batch_normalization, _OLDEST, weights=_WEIGHT),),
    "GroupNormalization": (Operator(normalization.group_normalization, weights=_WEIGHT),),
    "Hardmax": (
        Operator(normalization.over_tail(normalization.hardmax)),
        Operator(normalization.along_axis(normalization.hardmax), 13),
    ),
    "InstanceNormalization": (Operator(normalization.instance_normalization, 6, weights=_WEIGHT),),
    "LRN": (Operator(normalization.local_response),),
    "LayerNormalization": (Operator(normalization.layer_normalization, weights=_WEIGHT),),
    "LogSoftmax": (
        Operator(normalization.over_tail(torch.log_softmax)),
        Operator(normalization.along_axis(torch.log_softmax), 13),
    ),
    "LpNormalization": (Operator(normalization.lp_normalization),),
    "MeanVarianceNormalization": (Operator(normalization.mean_variance, 9),),
    "RMSNormalization": (Operator(normalization.rms_normalization, weights=_SECOND),),
    "SimplifiedLayerNormalization": (Operator(normalization.rms_normalization, weights=_SECOND),),
    "Softmax": (
        Operator(normalization.over_tail(torch.softmax)),
        Operator(normalization.along_axis(torch.softmax), 13),
    ),
}

_SHAPING: dict[str, Versions] = {
    "Cast": (Operator(conversion.cast, 6, any_type=True),),
    "CastLike": (Operator(conversion.cast_like, any_type=True, host=_SECOND),),
    "CenterCropPad": (Operator(shaping.center_crop_pad, host=_SECOND, any_type=True),),
    "Concat": (Operator(shaping.concat, 4, any_type=True),),
    "ConstantOfShape": (Operator(shaping.constant_of_shape, host=_FIRST, any_type=True),),
    "DepthToSpace": (Operator(shaping.depth_to_space, any_type=True),),
    "Expand": (Operator(shaping.expand, host=_SECOND, any_type=True),),
    "EyeLike": (Operator(shaping.eye_like),),
    "Flatten": (Operator(shaping.flatten, any_type=True),),
    "Pad": (Operator(shaping.pad, 2, host=frozenset((1, 2, 3)), any_type=True),),
    "Range": _function(shaping.range_, host=frozenset((0, 1, 2))),
    "Reshape": (Operator(shaping.reshape, host=_SECOND, any_type=True),),
    "Shape": (Operator(shaping.shape, any_type=True),),
    "Size": _function(shaping.size, any_type=True),
    "Slice": (
        Operator(shaping.slice_by_attributes, any_type=True),
        Operator(shaping.slice_, 10, host=frozenset((1, 2, 3, 4)), any_type=True),
    ),
    "SpaceToDepth": (Operator(shaping.space_to_depth, any_type=True),),
    "Split": (Operator(shaping.split, 2, host=_SECOND, any_type=True),),
    "Squeeze": (Operator(shaping.squeeze, host=_SECOND, any_type=True),),
    "Tile": (Operator(shaping.tile, 6, host=_SECOND, any_type=True),),
    "Transpose": (Operator(shaping.transpose, any_type=True),),
    "Trilu": (Operator(shaping.trilu, host=_SECOND, any_type=True),),
    "Unsqueeze": (Operator(shaping.unsqueeze, host=_SECOND, any_type=True),),
}

_INDEXING: dict[str, Versions] = {
    "Compress": (Operator(indexing.compress, any_type=True),),
    "Gather": (Operator(indexing.gather, any_type=True, weights=_FIRST),),
    "GatherElements": (Operator(indexing.gather_elements, any_type=True),),
    "GatherND": (Operator(indexing.gather_nd, any_type=True),),
    "NonMaxSuppression": (Operator(indexing.non_max_suppression, host=frozenset((2, 3, 4))),),
    "NonZero": _function(indexing.non_zero, any_type=True),
    "OneHot": (Operator(indexing.one_hot, host=_SECOND, settings=frozenset((2,))),),
    "ReverseSequence": (Operator(indexing.reverse_sequence, any_type=True),),
    "Scatter": (Operator(indexing.scatter_elements, any_type=True),),
    "ScatterElements": (Operator(indexing.scatter_elements, any_type=True),),
    "ScatterND": (Operator(indexing.scatter_nd, any_type=True),),
    "TensorScatter": (Operator(indexing.tensor_scatter, any_type=True),),
    "TopK": (Operator(indexing.top_k, host=_SECOND, any_type=True),),
    "Unique": (Operator(indexing.unique, any_type=True),),
}


def _reduction(function: reduction.Reduce) -> Versions:
    return (Operator(reduction.over_axes(function), host=_SECOND),)


_REDUCTION: dict[str, Versions] = {
    "ArgMax": (Operator(reduction.arg_extreme(torch.argmax)),),
    "ArgMin": (Operator(reduction.arg_extreme(torch.argmin)),),
    "CumProd": (Operator(reduction.running(torch.cumprod, 1), host=_SECOND),),
    "CumSum": (Operator(reduction.running(torch.cumsum, 0), host=_SECOND),),
    "ReduceL1": _reduction(reduction.sum_of_magnitudes),
    "ReduceL2": _reduction(reduction.length),
    "ReduceLogSum": _reduction(reduction.log_of_sum),
    "ReduceLogSumExp": _reduction(reduction.log_of_sum_of_exponentials),
    "ReduceMax": _reduction(reduction.largest),
    "ReduceMean": _reduction(reduction.average),
    "ReduceMin": _reduction(reduction.smallest),
    "ReduceProd": _reduction(reduction.product),
    "ReduceSum": _reduction(reduction.total),
    "ReduceSumSquare": _reduction(reduction.sum_of_squares),
}

_RECURRENT = (Operator(recurrent.recurrent, _OLDEST, weights=frozenset((1, 2, 3, 7))),)
_STRUCTURE: dict[str, Versions] = {
    "ConcatFromSequence": (Operator(sequences.concatenate, any_type=True),),
    "GRU": _RECURRENT,
    "If": (Operator(control.if_, any_type=True),),
    "LSTM": _RECURRENT,
    "Loop": (Operator(control.loop, host=frozenset((0, 1)), any_type=True),),
    "RNN": _RECURRENT,
    "Scan": (Operator(control.scan, 9, any_type=True),),
    "SequenceAt": (Operator(sequences.at, host=_SECOND, any_type=True),),
    "SequenceConstruct": _function(sequences.construct, any_type=True),
    "SequenceEmpty": _function(sequences.empty, any_type=True),
    "SequenceErase": (Operator(sequences.erase, host=_SECOND, any_type=True),),
    "SequenceInsert": (Operator(sequences.insert, host=frozenset((2,)), any_type=True),),
    "SequenceLength": _function(sequences.length, any_type=True),
    "SplitToSequence": (Operator(sequences.split, host=_SECOND, any_type=True),),
}

_ATTENTION: dict[str, Versions] = {
    "Attention": (Operator(attention.attention),),
    "RotaryEmbedding": (Operator(attention.rotary_embedding, settings=_BOUNDS),),
    "SwiGLU": (Operator(attention.swiglu),),
}
_STATES: dict[str, Versions] = {
    "CausalConvWithState": (Operator(states.causal_convolution, weights=_BOUNDS),),
    "LinearAttention": (Operator(states.linear_attention),),
}
_WINDOW = (Operator(spectral.window, host=_FIRST),)
_SPECTRAL: dict[str, Versions] = {
    "BlackmanWindow": _WINDOW,
    "DFT": (Operator(spectral.dft, host=_BOUNDS),),
    "HammingWindow": _WINDOW,
    "HannWindow": _WINDOW,
    "STFT": (Operator(spectral.stft, host=frozenset((1, 3)), settings=frozenset((2,))),),
}
_LOSSES: dict[str, Versions] = {
    "NegativeLogLikelihoodLoss": (Operator(losses.negative_log_likelihood, settings=frozenset((2,))),),
    "SoftmaxCrossEntropyLoss": (Operator(losses.softmax_cross_entropy, settings=frozenset((2,))),),
}

_RESIZE: dict[str, Versions] = {
    "AffineGrid": (Operator(sampling.affine_grid, host=_SECOND),),
    "Col2Im": (Operator(sampling.column_to_image, host=_BOUNDS),),
    "GridSample": (Operator(sampling.grid_sample),),
    "RoiAlign": (Operator(sampling.roi_align, host=frozenset((2,))),),
    "Resize": (
        Operator(resize.resize_by_scales, host=_SECOND),
        Operator(resize.resize, 11, host=frozenset((1, 2, 3))),
    ),
    "Upsample": (Operator(resize.resize_by_scales, _OLDEST, host=_SECOND),),
}

_LINEAR_QUANTIZATION: dict[str, Versions] = {
    "DequantizeLinear": (Operator(quantized.dequantize_linear, scales=_SECOND, any_type=True),),
    "QuantizeLinear": (Operator(quantized.quantize_linear, scales=_SECOND, any_type=True),),
}
_QUANTIZED: dict[str, Versions] = {
    **_LINEAR_QUANTIZATION,
    "ConvInteger": (Operator(quantized.conv_integer),),
    "DynamicQuantizeLinear": _function(quantized.dynamic_quantize_linear),
    "MatMulInteger": _function(quantized.matmul_integer),
    "QLinearConv": (Operator(quantized.qlinear_conv),),
    "QLinearMatMul": _function(quantized.qlinear_matmul),
}

_ONNX: dict[str, Versions] = {
    **_UNARY,
    **_BROADCAST,
    **_LINEAR,
    **_POOLING,
    **_NORMALIZATION,
    **_SHAPING,
    **_INDEXING,
    **_REDUCTION,
    **_STRUCTURE,
    **_ATTENTION,
    **_STATES,
    **_SPECTRAL,
    **_LOSSES,
    **_RESIZE,
    **_QUANTIZED,
}

_MICROSOFT: dict[str, Versions] = {
    **_LINEAR_QUANTIZATION,
    "Attention": (Operator(attention.packed_attention, weights=_BOUNDS),),
    "BiasGelu": _function(elementwise.bias_gelu, weights=_SECOND),
    "FastGelu": _function(elementwise.fast_gelu, weights=_SECOND),
    "FusedMatMul": (Operator(linear.fused_matmul, weights=frozenset((0, 1))),),
    "Gelu": _function(functional.gelu),
    "GatherBlockQuantized": (Operator(blocked.gather_in_blocks, scales=frozenset((2,))),),
    "MatMulNBits": (Operator(blocked.matmul_in_blocks, scales=frozenset((2,))),),
    "MultiHeadAttention": (Operator(attention.multi_head_attention, weights=frozenset((3,))),),
    "QLinearAdd": (Operator(quantized.qlinear_binary(torch.add)),),
    "QLinearLeakyRelu": (Operator(quantized.qlinear_unary(elementwise.leaky_relu)),),
    "QLinearMul": (Operator(quantized.qlinear_binary(torch.mul)),),
    "QLinearSigmoid": (Operator(quantized.qlinear_unary(plain(torch.sigmoid))),),
    "QuickGelu": (Operator(elementwise.swish),),
    "SkipLayerNormalization": (
        Operator(normalization.skip_layer_normalization, weights=frozenset((2, 3, 4))),
    ),
    "SkipSimplifiedLayerNormalization": (
        Operator(normalization.skip_rms_normalization, weights=frozenset((2, 3))),
    ),
}

OPERATORS: dict[tuple[str, str], Versions] = {
    **{("", name): versions for name, versions in _ONNX.items()},
    **{("com.microsoft", name): versions for name, versions in _MICROSOFT.items()},
}
"""Functions by domain and operator, oldest version first."""


def find_operator(node: ir.Node, versions: dict[str, int]) -> Operator:
    """The function that is right for a node.

    Args:
        node: The node.
        versions: The version of each domain's operators.

    Raises:
        ModelError: There is none.
    """
    known = OPERATORS.get((node.domain, node.op_type))
    if known is None:
        refuse_node(node, "the operator has no function in torch")
    version = versions.get(node.domain, 1)
    fitting = [operator for operator in known if operator.since <= version]
    if not fitting:
        refuse_node(node, f"version {version} of its operators is older than {known[0].since}")
    return fitting[-1]


def is_weight_input(node: ir.Node, index: int) -> bool:
    """Whether an operator reads one of its inputs as a weight."""
    known = OPERATORS.get((node.domain, node.op_type), ())
    return any(index in operator.weights for operator in known)


def is_scale_input(node: ir.Node, index: int) -> bool:
    """Whether an operator reads one of its inputs as a scale of quantized numbers."""
    known = OPERATORS.get((node.domain, node.op_type), ())
    return any(index in operator.scales for operator in known)
