"""What NNAPI takes (Android): ONNX Runtime's list of operators, and the conditions of its builders.

Files are of ``core/providers/nnapi/nnapi_builtin/builders``, those with ``_op_builder`` in ``impl``. Android API 30 and up is
supposed; what only older ones lack is not asked. Groups of Q/DQ nodes are units (``helper.cc``, ``GetQuantizedOpType``):
other groups stay together on the CPU, while a QuantizeLinear or DequantizeLinear outside of a group is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .node_facts import same_parameters
from .provider_conditions import (
    attribute,
    constant,
    fixed_shapes,
    flat_kernel,
    gemm_bias,
    gemm_form,
    keeps_channels,
    one_output,
    one_scale,
    present,
    quantized,
    rank,
    relu_bounds,
    since,
    softmax_scale,
    symmetric_channels,
    types,
    undilated,
)
from .provider_rules import Condition, Provider, Rule, UnitView, each, standard

_PARAMETERS = "scale or zero-point"
_QUANTIZED_NOTE = "All quantization scales and zero points should be constant."
_POOL_NOTE = "Only 2D Pool is supported."
_CONV_NOTE = "Only 2D Conv is supported. Weights and bias should be constant."
_FLOAT = (types("float32"),)
_UINT8 = (quantized("uint8"),)
_MOVES = (types("float32", "uint8"),)


def _conv_groups(view: UnitView) -> str:
    """A grouped convolution that is not depthwise has no dilation."""
    dims, group = view.dims(1), view.integer("group", 1)
    is_depthwise = dims is not None and dims[1] == 1
    dilated = not set(view.integers("dilations")) <= {1}
    return f"group {group} with dilation not supported" if dilated and group != 1 and not is_depthwise else ""


def _gemm_weights(view: UnitView) -> str:
    """B is constant, unless it is transposed."""
    return "" if view.integer("transB", 0) else constant(1, "weights")(view)


def _matmul(view: UnitView) -> str:
    """Matrices with constant B; outside of groups also batches of the same sizes on both sides."""
    left, right = view.dims(0), view.dims(1)
    if left is None or right is None:
        return "shape of an input is not known"
    if len(left) >= 3 and len(left) == len(right) and left[:-2] == right[:-2] and not view.unit.is_group:
        return ""
    if len(left) != 2 or len(right) != 2:
        return f"ranks {len(left)} and {len(right)}, supported are 2 and 2, or equal batches"
    return constant(1, "weights")(view)


def _two_inputs(view: UnitView) -> str:
    return "" if len(view.inputs) == 2 else f"{len(view.inputs)} inputs, supported are 2"


def _same_scales(view: UnitView) -> str:
    """A quantized average has the same scale and zero-point before and behind."""
    is_same = same_parameters(view.unit.dequantize[0], view.unit.quantize[0])
    return "" if is_same else "no integer kernel: scale or zero-point differ between input and output"


def _no_negative_pads(view: UnitView) -> str:
    pads = view.array(1)
    return "negative pads" if pads is not None and np.any(pads < 0) else ""


def _even_split(view: UnitView) -> str:
    """All parts have one size, which divides the axis."""
    dims, axis, count = view.dims(0), view.integer("axis", 0), len(view.node.outputs)
    sizes = view.array(1) if view.value(1) is not None else np.array(view.integers("split"))
    even = sizes is None or len(set(sizes.tolist())) <= 1
    size = dims[axis] if dims else None
    return "" if even and isinstance(size, int) and size % count == 0 else "split into unequal parts"


def _resize_mode(view: UnitView) -> str:
    """Bilinear in three ways, nearest in one; none of the newer options."""
    modes: tuple[str, ...] = ("asymmetric",)
    if view.text("mode", "nearest") == "linear":
        modes = ("half_pixel", "align_corners", "asymmetric")
        checks = [attribute("mode", "nearest", "linear")]
    else:
        checks = [attribute("mode", "nearest"), attribute("nearest_mode", "round_prefer_floor", "floor")]
    checks += [
        attribute("coordinate_transformation_mode", "half_pixel", *modes),
        attribute("exclude_outside", 0),
        attribute("antialias", 0),
        attribute("keep_aspect_ratio_policy", "stretch"),
    ]
    return next((reason for check in checks if (reason := check(view))), "")


def _gather_indices(view: UnitView) -> str:
    return "" if not types("int32", index=1)(view) else constant(1, "indices")(view)


def _constants(*indices: int) -> tuple[Condition, ...]:
    return tuple(constant(index, _PARAMETERS) for index in indices)


_POOL = (
    rank(4),
    flat_kernel,
    attribute("count_include_pad", 0),
    attribute("ceil_mode", 0),
    undilated,
    one_output,
)
_CONV = (constant(1, "weights"), constant(2, "bias"), rank(4, index=1), _conv_groups)

RULES = standard(
    {
        **each("Abs Exp Floor Log Neg Sin Sqrt Sigmoid Tanh", Rule(source="unary_op_builder.cc")),
        **each("Elu Identity", Rule(source="base_op_builder.cc")),
        "Relu": Rule(source="relu_op_builder.cc"),
        "LeakyRelu": Rule(source="leakyrelu_op_builder.cc", conditions=(rank(0, 4),)),
        **each(
            "Add Mul",
            Rule(
                source="binary_op_builder.cc",
                conditions=(since(7), rank(0, 4), rank(0, 4, 1)),
                group=(*_UINT8, types("uint8", index=1)),
            ),
        ),
        **each(
            "Sub Div", Rule(source="binary_op_builder.cc", conditions=(since(7), rank(0, 4), rank(0, 4, 1)))
        ),
        "Pow": Rule(
            source="binary_op_builder.cc",
            conditions=(since(7), types("float32", index=1), rank(0, 4), rank(0, 4, 1)),
        ),
        "PRelu": Rule(source="binary_op_builder.cc", conditions=(rank(0, 4), rank(0, 4, 1))),
        **each("Max Min", Rule(source="minmax_op_builder.cc", conditions=(_two_inputs,))),
        "AveragePool": Rule(
            source="pool_op_builder.cc", conditions=_POOL, group=(*_UINT8, _same_scales), note=_POOL_NOTE
        ),
        "MaxPool": Rule(
            source="pool_op_builder.cc",
            conditions=(*_POOL, attribute("storage_order", 0)),
            single=_MOVES,
            note=_POOL_NOTE,
        ),
        **each(
            "GlobalAveragePool GlobalMaxPool",
            Rule(source="pool_op_builder.cc", conditions=(rank(4),), note=_POOL_NOTE),
        ),
        "BatchNormalization": Rule(
            source="batchnorm_op_builder.cc",
            conditions=(
                since(7),
                rank(1, 4),
                *(constant(index, "weights") for index in (1, 2, 3, 4)),
                attribute("training_mode", 0),
                one_output,
            ),
        ),
        "Cast": Rule(source="cast_op_builder.cc", conditions=(attribute("to", 0, 1, 6),)),
        "Clip": Rule(source="clip_op_builder.cc", conditions=(relu_bounds((0.0, 6.0), (-1.0, 1.0)),)),
        "Concat": Rule(source="concat_op_builder.cc", conditions=(rank(1, 4),), single=_MOVES, group=_UINT8),
        "Conv": Rule(
            source="conv_op_builder.cc",
            conditions=_CONV,
            group=(*_UINT8, types("uint8", "int8", index=1), symmetric_channels),
            note=_CONV_NOTE,
        ),
        "DepthToSpace": Rule(
            source="depthtospace_op_builder.cc",
            conditions=(rank(4), attribute("mode", "DCR")),
            note="Only DCR mode DepthToSpace is supported.",
        ),
        "DequantizeLinear": Rule(
            source="dequantizelinear_op_builder.cc",
            conditions=_constants(1, 2),
            single=(types("uint8"),),
            note=_QUANTIZED_NOTE,
        ),
        "QuantizeLinear": Rule(
            source="quantizelinear_op_builder.cc",
            conditions=(*_constants(1, 2), types("uint8", index=2)),
            note=_QUANTIZED_NOTE,
        ),
        "Flatten": Rule(source="flatten_op_builder.cc", conditions=(rank(1, 4),)),
        "Gather": Rule(
            source="gather_op_builder.cc",
            conditions=(rank(0, 4), _gather_indices),
            note="Input indices should be constant if not int32 type.",
        ),
        "Gemm": Rule(
            source="gemm_op_builder.cc",
            conditions=(since(7), rank(2), rank(2, index=1), gemm_form, _gemm_weights, gemm_bias),
            group=(
                *_UINT8,
                types("uint8", "int8", index=1),
                one_scale(1, "a matrix product"),
                constant(2, "bias"),
            ),
            note="If input B is not constant, transB should be 1.",
        ),
        "MatMul": Rule(
            source="gemm_op_builder.cc",
            conditions=(_matmul,),
            group=(*_UINT8, types("uint8", "int8", index=1), one_scale(1, "a matrix product")),
        ),
        "LRN": Rule(source="LRN_op_builder.cc", conditions=(rank(4),)),
        "Pad": Rule(
            source="pad_op_builder.cc",
            conditions=(
                attribute("mode", "constant"),
                present(1, "pads"),
                constant(2, "pad value"),
                _no_negative_pads,
                rank(0, 4),
            ),
            note="Only constant mode Pad is supported. Input pads and constant_value should be constant. "
            "Input pads values should be non-negative.",
        ),
        "QLinearConv": Rule(
            source="conv_op_builder.cc",
            conditions=(
                constant(3, "weights"),
                rank(4, index=3),
                constant(8, "bias"),
                *_constants(1, 2, 4, 5, 6, 7),
            ),
            single=(types("uint8"),),
            note=f"{_CONV_NOTE} {_QUANTIZED_NOTE}",
        ),
        "QLinearMatMul": Rule(
            source="gemm_op_builder.cc",
            conditions=(rank(2), rank(2, index=3), constant(3, "weights"), *_constants(1, 2, 4, 5, 6, 7)),
            single=(types("uint8"),),
            note=_QUANTIZED_NOTE,
        ),
        "com.microsoft:QLinearAdd": Rule(
            source="binary_op_builder.cc",
            conditions=(rank(0, 4), rank(0, 4, 3), *_constants(1, 2, 4, 5, 6, 7)),
            single=(types("uint8"), types("uint8", index=3)),
            note=_QUANTIZED_NOTE,
        ),
        "com.microsoft:QLinearAveragePool": Rule(
            source="pool_op_builder.cc",
            conditions=(*_POOL, *_constants(1, 2, 3, 4)),
            single=(types("uint8"),),
            note=f"{_POOL_NOTE} {_QUANTIZED_NOTE}",
        ),
        "com.microsoft:QLinearSigmoid": Rule(
            source="unary_op_builder.cc",
            conditions=_constants(1, 2, 3, 4),
            single=(types("uint8"),),
            note=_QUANTIZED_NOTE,
        ),
        "ReduceMean": Rule(source="reduction_op_builder.cc", conditions=(constant(1, "axes"), rank(1, 4))),
        "Reshape": Rule(
            source="reshape_op_builder.cc",
            conditions=(present(1, "new shape"), rank(1, 4), attribute("allowzero", 0)),
            group=_UINT8,
        ),
        "Resize": Rule(
            source="resize_op_builder.cc",
            conditions=(since(11), rank(4), _resize_mode, keeps_channels(2, 3)),
            single=_MOVES,
            group=_UINT8,
            note="Only 2D Resize is supported.",
        ),
        "Slice": Rule(
            source="slice_op_builder.cc",
            conditions=(
                rank(0, 4),
                since(10),
                *(constant(i, "starts, ends, axes or steps") for i in (1, 2, 3, 4)),
            ),
        ),
        "Softmax": Rule(
            source="softmax_op_builder.cc", conditions=(rank(1, 4),), group=(*_UINT8, softmax_scale)
        ),
        "Split": Rule(
            source="split_op_builder.cc",
            conditions=(constant(1, "sizes"), _even_split),
            note="Number of splits must evenly divide split axis size. Input split should be constant if provided.",
        ),
        "Squeeze": Rule(
            source="squeeze_op_builder.cc",
            conditions=(constant(1, "axes"), rank(0, 4)),
            note="Input axes should be constant.",
        ),
        "Unsqueeze": Rule(
            source="unsqueeze_op_builder.cc",
            conditions=(constant(1, "axes"), rank(0, 4)),
            note="Input axes should be constant.",
        ),
        "Transpose": Rule(
            source="transpose_op_builder.cc", conditions=(rank(1, 4),), single=_MOVES, group=_UINT8
        ),
    }
)


def _refuses(operators: Sequence[str]) -> str:
    """``IsValidSupportedNodeGroup`` in ``helper.cc``."""
    is_copy = len(operators) == 1 and operators[0] in {"Flatten", "Identity", "Reshape"}
    return f"a lone {operators[0]} is not worth a copy to the device" if is_copy else ""


NNAPI = Provider(
    name="NNAPI",
    rules=RULES,
    common=(fixed_shapes,),
    single=_FLOAT,
    list_name="nnapi_supported_ops.md",
    stops=frozenset({"NonMaxSuppression"}),
    refuses=_refuses,
)
