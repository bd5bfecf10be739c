"""What CoreML takes (iOS, macOS), as NeuralNetwork and as MLProgram: ONNX Runtime's two lists, and its builders' conditions.

Files are of ``core/providers/coreml/builders``, those with ``_op_builder`` in ``impl``. CoreML knows no groups of Q/DQ nodes:
neither list has QuantizeLinear or DequantizeLinear, so each of them stays on the CPU and breaks a partition. Free dimensions
are taken (``RequireStaticInputShapes`` is 0 unless it is set), at a cost in time.
"""

from __future__ import annotations

from .provider_conditions import (
    attribute,
    constant,
    flat_kernel,
    gemm_bias,
    gemm_form,
    keeps_channels,
    one_output,
    present,
    rank,
    since,
    types,
    undilated,
)
from .provider_rules import Condition, Provider, Rule, UnitView, each, standard

MAX_DIM = 16384
"""CoreML does not load what reads a longer dimension (``helper.cc``)."""

MAX_RANK = 5

_POOL_2D = "Only 2D Pool is supported."
_POOL_4D = "Only 2D Pool is supported currently. 3D and 5D support can be added if needed."
_GEMM_FORM = "Only support for transA == 0, alpha == 1.0 and beta == 1.0 is currently implemented."
_FP32_POW = "Only supports cases when both inputs are fp32."
_SPLIT = "If provided, `splits` must be constant."


def _shapes(view: UnitView) -> str:
    """``IsInputSupported`` in ``helper.cc``: known ranks up to 5, no dimension of 0 or beyond 16384."""
    for index in view.inputs:
        dims, name = view.dims(index), view.name(index)
        if dims is None:
            return f"shape of input {name} is not known"
        is_roi = view.node.op_type == "Resize" and index == 1
        sizes = [d for d in dims if isinstance(d, int)]
        if any(d > MAX_DIM for d in sizes):
            return f"input {name} has a dimension beyond {MAX_DIM}"
        if 0 in sizes and not is_roi:
            return f"input {name} is empty"
        if len(dims) > MAX_RANK:
            return f"input {name} has rank {len(dims)}, supported is up to {MAX_RANK}"
    return ""


def _conv_kernel(view: UnitView) -> str:
    """The kernel is as large as the weights say."""
    kernel, dims = view.integers("kernel_shape"), view.dims(1)
    is_it = not kernel or dims is None or tuple(dims[2:]) == kernel
    return "" if is_it else f"attribute kernel_shape={list(kernel)} differs from the weights"


def _no_output_shape(view: UnitView) -> str:
    """No ``output_shape``, and no ``output_padding`` but zeros."""
    if view.integers("output_shape"):
        return "attribute output_shape not supported"
    found = view.integers("output_padding")
    return f"attribute output_padding={list(found)} not supported" if any(found) else ""


def _matrices(view: UnitView) -> str:
    """Both inputs are matrices."""
    return rank(2)(view) or rank(2, index=1)(view)


def _gather_indices(view: UnitView) -> str:
    return "indices are a scalar" if view.dims(1) == () else ""


def _prelu_slope(view: UnitView) -> str:
    dims = view.dims(1) or ()
    is_plain = view.is_constant(1) and ((len(dims) == 3 and dims[1:] == (1, 1)) or all(d == 1 for d in dims))
    return "" if is_plain else "slope is not one number or one for each channel"


def _last_pads(view: UnitView) -> str:
    """Only the last two dimensions are padded."""
    pads, dims = view.array(1), view.dims(0)
    if pads is None or dims is None or view.value(3) is not None:
        return ""
    kept = len(dims) - 2
    both = (*pads[: max(kept, 0)], *pads[len(dims) : len(dims) + max(kept, 0)])
    return "other dimensions than the last two are padded" if any(both) else ""


def _no_end(view: UnitView) -> str:
    return "attribute end not supported" if "end" in view.node.attributes else ""


def _nearest_floor(view: UnitView) -> str:
    """Nearest takes the pixel below."""
    if view.text("mode", "nearest") != "nearest":
        return ""
    return attribute("nearest_mode", "round_prefer_floor", "floor")(view)


def _crd_fixed(view: UnitView) -> str:
    dims = view.dims(0) or ()
    is_free = view.text("mode", "DCR") == "CRD" and not all(isinstance(d, int) for d in dims)
    return "mode CRD with a dynamic shape" if is_free else ""


def _bools(view: UnitView) -> str:
    return types("bool")(view) or types("bool", index=1)(view)


def _grid_sample(view: UnitView) -> str:
    mode, pads = view.text("mode", "linear"), view.text("padding_mode", "zeros")
    if mode not in {"linear", "bilinear", "nearest"}:
        return f"attribute mode={mode} not supported"
    is_odd = mode != "nearest" and pads == "reflection" and not view.integer("align_corners", 0)
    return "attribute padding_mode=reflection without align_corners not supported" if is_odd else ""


def _constants(what: str, *indices: int) -> tuple[Condition, ...]:
    return tuple(constant(index, what) for index in indices)


_FLAT_POOL = (rank(4), flat_kernel, undilated, one_output, attribute("storage_order", 0))
_GEMM = (*_constants("weights", 1, 2), rank(2), gemm_form, gemm_bias)
_SLICE = (since(10), *_constants("starts, ends, axes or steps", 1, 2, 3, 4))
_INDEXED = (types("float32", "float16", "int64", "int32"),)
_BINARY = Rule(source="binary_op_builder.cc", conditions=(since(7),))
_RESHAPE = Rule(source="reshape_op_builder.cc", conditions=(present(1, "new shape"),))
_SPLIT_RULE = Rule(source="split_op_builder.cc", conditions=(constant(1, "sizes"),), note=_SPLIT)
_POW = Rule(
    source="binary_op_builder.cc",
    conditions=(since(7), types("float32"), types("float32", index=1)),
    note=_FP32_POW,
)

_SHARED = {
    **each("Add Div Mul Sub", _BINARY),
    "Pow": _POW,
    "ArgMax": Rule(source="argmax_op_builder.cc", conditions=(attribute("select_last_index", 0),)),
    "Cast": Rule(
        source="cast_op_builder.cc", single=(types("float32", "float16", "int32", "int64", "bool"),)
    ),
    "Clip": Rule(source="clip_op_builder.cc", conditions=_constants("bounds", 1, 2)),
    "Concat": Rule(source="concat_op_builder.cc"),
    **each("LeakyRelu Relu Sigmoid Tanh", Rule(source="activation_op_builder.cc")),
    **each("Reciprocal Sqrt", Rule(source="unary_op_builder.cc")),
    "ReduceSum": Rule(source="reduction_op_builder.cc", conditions=_constants("axes", 1)),
    "Reshape": _RESHAPE,
    "Softmax": Rule(source="softmax_op_builder.cc"),
    "Split": _SPLIT_RULE,
    "Squeeze": Rule(source="squeeze_op_builder.cc", conditions=_constants("axes", 1)),
    "Transpose": Rule(source="transpose_op_builder.cc"),
}

NEURAL_NETWORK_RULES = standard(
    _SHARED
    | {
        **each(
            "AveragePool MaxPool",
            Rule(
                source="pool_op_builder.cc",
                conditions=(*_FLAT_POOL, attribute("ceil_mode", 0)),
                note=_POOL_2D,
            ),
        ),
        **each(
            "GlobalAveragePool GlobalMaxPool",
            Rule(source="pool_op_builder.cc", conditions=(rank(4),), note=_POOL_2D),
        ),
        "BatchNormalization": Rule(
            source="batch_norm_op_builder.cc",
            conditions=(
                since(7),
                *_constants("weights", 1, 2, 3, 4),
                attribute("training_mode", 0),
                one_output,
            ),
        ),
        "Conv": Rule(
            source="conv_op_builder.cc",
            conditions=(constant(1, "weights"), constant(2, "bias"), rank(3, 4, 1), _conv_kernel),
            note="Only 1D/2D Conv is supported. Weights and bias should be constant.",
        ),
        "DepthToSpace": Rule(
            source="depthtospace_op_builder.cc",
            conditions=(attribute("mode", "DCR"),),
            note="Only DCR mode DepthToSpace is supported.",
        ),
        "Flatten": Rule(source="flatten_op_builder.cc"),
        "Gather": Rule(
            source="gather_op_builder.cc",
            conditions=(_gather_indices,),
            single=_INDEXED,
            note="Input `indices` with scalar value is not supported.",
        ),
        "Gemm": Rule(source="gemm_op_builder.cc", conditions=_GEMM, note="Input B should be constant."),
        "LRN": Rule(source="LRN_op_builder.cc"),
        "MatMul": Rule(
            source="gemm_op_builder.cc",
            conditions=(constant(1, "weights"), _matrices),
            note="Input B should be constant.",
        ),
        "Pad": Rule(
            source="pad_op_builder.cc",
            conditions=(
                attribute("mode", "constant"),
                present(1, "pads"),
                *_constants("pad value or axes", 2, 3),
                _last_pads,
            ),
            note="Only constant mode and last two dim padding is supported. Input pads and constant_value should be "
            "constant. If provided, axes should be constant.",
        ),
        "PRelu": Rule(
            source="activation_op_builder.cc",
            conditions=(_prelu_slope,),
            note="Input slope should be constant. Input slope should either have shape [C, 1, 1] or have 1 element.",
        ),
        "Resize": Rule(
            source="resize_op_builder.cc",
            conditions=(
                since(11),
                rank(4),
                attribute("coordinate_transformation_mode", "half_pixel", "asymmetric"),
                attribute("mode", "nearest", "linear", "nearest"),
                attribute("exclude_outside", 0),
                _nearest_floor,
                keeps_channels(2, 3),
            ),
            note="4D input. `coordinate_transformation_mode` == `asymmetric`. `mode` == `linear` or `nearest`. "
            "`nearest_mode` == `floor`. `exclude_outside` == false `scales` or `sizes` must be constant.",
        ),
        "Shape": Rule(
            source="shape_op_builder.cc",
            conditions=(attribute("start", 0), _no_end),
            note="Attribute `start` with non-default value is not supported. Attribute `end` is not supported.",
        ),
        "Slice": Rule(
            source="slice_op_builder.cc",
            conditions=_SLICE,
            single=_INDEXED,
            note="Inputs `starts`, `ends`, `axes`, and `steps` should be constant. Empty slice is not supported.",
        ),
    }
)

ML_PROGRAM_RULES = standard(
    _SHARED
    | {
        "And": Rule(
            source="logical_op_builder.cc", conditions=(_bools,), single=(), note="Both inputs must be bool."
        ),
        **each(
            "AveragePool MaxPool", Rule(source="pool_op_builder.cc", conditions=_FLAT_POOL, note=_POOL_4D)
        ),
        **each(
            "GlobalAveragePool GlobalMaxPool",
            Rule(source="pool_op_builder.cc", conditions=(rank(4),), note=_POOL_4D),
        ),
        "Conv": Rule(
            source="conv_op_builder.cc",
            conditions=(constant(2, "bias"), rank(3, 4, 1), _conv_kernel),
            note="Only 1D/2D Conv is supported. Bias if provided must be constant.",
        ),
        "com.microsoft:FusedConv": Rule(
            source="conv_op_builder.cc",
            conditions=(constant(2, "bias"), rank(3, 4, 1), _conv_kernel),
            note="Produced by ORT's `ConvActivationFusion` pass. Decomposed into `conv` + the fused activation (`Relu`, "
            "`Sigmoid`, `Tanh`, `LeakyRelu`, `Clip`, `HardSigmoid`).",
        ),
        "ConvTranspose": Rule(
            source="convtranspose_op_builder.cc",
            conditions=(
                *_constants("weights or bias", 1, 2),
                rank(3, 4, 1),
                attribute("auto_pad", "NOTSET", "NOTSET", "VALID"),
                _conv_kernel,
                _no_output_shape,
            ),
            note="Weight and bias must be constant. padding_type of SAME_UPPER/SAME_LOWER is not supported. "
            "kernel_shape must have default values. output_shape is not supported. "
            "output_padding must have default values.",
        ),
        **each("Ceil Cos Erf Exp Identity Round Sin", Rule(source="unary_op_builder.cc")),
        **each("Elu Gelu HardSigmoid PRelu Softplus", Rule(source="activation_op_builder.cc")),
        "com.microsoft:QuickGelu": Rule(
            source="quick_gelu_op_builder.cc",
            note="Produced by ORT's `QuickGeluFusion` optimizer pass. Decomposed into `mul` / `sigmoid` / `mul`.",
        ),
        "DepthToSpace": Rule(
            source="depthtospace_op_builder.cc",
            conditions=(_crd_fixed,),
            note="If 'mode' is 'CRD' the input must have a fixed shape.",
        ),
        "GatherND": Rule(
            source="gather_nd_op_builder.cc",
            conditions=(attribute("batch_dims", 0),),
            single=_INDEXED,
            note="batch_dims must be 0.",
        ),
        "Gemm": Rule(source="gemm_op_builder.cc", conditions=_GEMM, note="Input B must be constant."),
        "MatMul": Rule(source="gemm_op_builder.cc", note=_GEMM_FORM),
        "GridSample": Rule(
            source="gridsample_op_builder.cc",
            conditions=(rank(4), _grid_sample),
            note="4D input. 'mode' of 'linear' or 'zeros'. "
            "(mode==linear && padding_mode==reflection && align_corners==0) is not supported.",
        ),
        **each(
            "GroupNormalization InstanceNormalization LayerNormalization",
            Rule(source="normalization_op_builder.cc", conditions=_constants("weights", 1, 2)),
        ),
        "Max": Rule(source="binary_op_builder.cc"),
        "Reciprocal": Rule(
            source="unary_op_builder.cc",
            note="this ask for a `epislon` (default 1e-4) where onnx don't provide",
        ),
        **each(
            "ReduceMax ReduceMean", Rule(source="reduction_op_builder.cc", conditions=_constants("axes", 1))
        ),
        "Resize": Rule(
            source="resize_op_builder.cc",
            conditions=(
                since(11),
                rank(3, 5),
                attribute("mode", "nearest", "linear", "nearest"),
                attribute("exclude_outside", 0),
                attribute("antialias", 0),
                keeps_channels(2, 3),
            ),
        ),
        "Shape": Rule(source="shape_op_builder.cc"),
        "Slice": Rule(
            source="slice_op_builder.cc",
            conditions=_SLICE,
            single=_INDEXED,
            note="starts/ends/axes/steps must be constant initializers.",
        ),
        "Tile": Rule(
            source="tile_op_builder.cc",
            note="`repeats` may be a constant initializer or a runtime tensor (MLProgram only). Input rank up to 5.",
        ),
        "Unsqueeze": Rule(source="squeeze_op_builder.cc", conditions=_constants("axes", 1)),
        "Where": Rule(
            source="where_op_builder.cc",
            conditions=(types("float32", "float16", index=1), types("float32", "float16", index=2)),
            single=(types("bool"),),
            note="`X`/`Y` branches must be float or float16.",
        ),
    }
)

_NO_GROUPS = "no integer kernels: CoreML takes neither QuantizeLinear nor DequantizeLinear"
_ABSENT = {"ai.onnx:QuantizeLinear": _NO_GROUPS, "ai.onnx:DequantizeLinear": _NO_GROUPS}

COREML_NEURAL_NETWORK = Provider(
    name="CoreML NeuralNetwork",
    rules=NEURAL_NETWORK_RULES,
    common=(_shapes,),
    single=(types("float32"),),
    list_name="coreml_supported_neuralnetwork_ops.md",
    knows_groups=False,
    absent=_ABSENT,
)

COREML_ML_PROGRAM = Provider(
    name="CoreML MLProgram",
    rules=ML_PROGRAM_RULES,
    common=(_shapes,),
    single=(types("float32", "float16"),),
    list_name="coreml_supported_mlprogram_ops.md",
    knows_groups=False,
    absent=_ABSENT,
)
