"""What QNN takes on the Hexagon processor (HTP backend): the table, from ONNX Runtime's documentation and sources.

The page is ``docs/execution-providers/QNN-ExecutionProvider.md``; files are of ``core/providers/qnn/builder/opbuilder``. The
page wants fixed shapes and quantized nodes, unsigned in 8 or 16 bits. A last check is made on the device by the QNN SDK, and
is in none of these files; what it refused when groups of each operator were put before the x86 build of onnxruntime-qnn 2.7 is
left here too. That build takes more than the page promises: signed activations, and floats, which newer devices run in 16 bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .provider_conditions import (
    attribute,
    constant,
    fixed_shapes,
    one_output,
    one_scale,
    quantized,
    rank,
    relu_bounds,
    types,
    undilated,
)
from .provider_rules import Condition, Provider, Rule, UnitView, each, standard

_PAGE = "docs/execution-providers/QNN-ExecutionProvider.md"
_UNSIGNED = (quantized("uint8", "uint16"),)
_PAIRS = frozenset(
    {("uint8", "uint8"), ("uint8", "uint16"), ("uint16", "uint8"), ("uint8", "int8"), ("uint16", "int8")}
)
"""The first three are on the page; signed weights of one scale were taken when tried, as the quantizer makes them."""


def _integers(view: UnitView) -> str:
    """Outside of groups only integers and truth values are taken."""
    floats = [i for i in view.inputs if view.dtype(i) is not None and not _is_integer(view, i)]
    if floats:
        return "not quantized: only newer devices run floats, in 16 bits"
    wide = [i for i in view.inputs if not types("int64", "uint64", index=i)(view) and not view.is_constant(i)]
    return f"type int64 of input {view.name(wide[0])} is not supported" if wide else ""


def _in_a_group(view: UnitView) -> str:
    return "" if view.unit.is_group else f"{view.node.op_type} is taken between Q and DQ only"


def _is_integer(view: UnitView, index: int) -> bool:
    found = view.dtype(index)
    return found is not None and (found.is_integer() or found.numpy().name == "bool")


def _matmul_types(view: UnitView) -> str:
    """Input and weights are a pair that there is."""
    found = tuple("" if (t := view.dtype(i)) is None else t.numpy().name for i in (0, 1))
    return "" if found in _PAIRS else f"no integer kernel: types {found[0]} and {found[1]}"


def _quantized_result(view: UnitView) -> str:
    return "" if view.unit.quantize else "no integer kernel: the result is not quantized"


def _weights_of_8_bits(view: UnitView) -> str:
    return types("uint8", index=1)(view).replace("type", "no integer kernel: type", 1)


def _positive_indices(view: UnitView) -> str:
    indices = view.array(1)
    return "negative indices" if indices is not None and np.any(indices < 0) else ""


def _last_axis(view: UnitView) -> str:
    dims, axis = view.dims(0), view.integer("axis", -1)
    is_last = axis == -1 or (dims is not None and axis == len(dims) - 1)
    return "" if is_last else f"attribute axis={axis} not supported, the last one is"


def _two_inputs(view: UnitView) -> str:
    return "" if len(view.inputs) == 2 else f"{len(view.inputs)} inputs, supported are 2"


def _listed(*conditions: Condition, source: str = _PAGE) -> Rule:
    return Rule(source=source, conditions=conditions, group=_UNSIGNED)


_CONV = (rank(3, 5),)
_POOL = (rank(4), one_output, undilated)
_EDGE = Rule(
    source=_PAGE,
    conditions=(constant(1, "scale or zero-point"), constant(2, "scale or zero-point")),
    single=(),
)

RULES = standard(
    {
        **each(
            "Abs Add And Asin Atan Concat Cos DepthToSpace Div Elu Equal Exp Expand Flatten Floor Gelu Greater "
            "GreaterOrEqual HardSwish InstanceNormalization LeakyRelu Less LessOrEqual Log LogSoftmax Mul Neg Not Or "
            "Pow Reshape Round Sigmoid Sign Sin Softmax SpaceToDepth Sqrt Sub Tanh Transpose Where",
            _listed(),
        ),
        "com.microsoft:Gelu": _listed(),
        "Relu": Rule(source=_PAGE, single=(_integers, _in_a_group), group=_UNSIGNED),
        **each("LRN PRelu", Rule(source=_PAGE, group=(quantized("uint8"),))),
        **each("ArgMax ArgMin Cast", _listed()),
        **each("Ceil", _listed(source="simple_op_builder.cc")),
        **each("AveragePool MaxPool", _listed(*_POOL, source="pool_op_builder.cc")),
        "GlobalAveragePool": _listed(rank(4), source="pool_op_builder.cc"),
        "BatchNormalization": _listed(
            *(constant(index, "weights") for index in (1, 2, 3, 4)), source="batch_norm_op_builder.cc"
        ),
        "Clip": _listed(relu_bounds(), source="clip_op_builder.cc"),
        "Conv": _listed(*_CONV, source="conv_op_builder.cc"),
        "ConvTranspose": _listed(*_CONV, undilated, source="conv_op_builder.cc"),
        **each("DequantizeLinear QuantizeLinear", _EDGE),
        **each("com.microsoft:DequantizeLinear com.microsoft:QuantizeLinear", _EDGE),
        "Gather": _listed(_positive_indices),
        "Gemm": Rule(
            source="gemm_op_builder.cc",
            conditions=(attribute("alpha", 1.0), attribute("beta", 1.0)),
            group=(*_UNSIGNED, _quantized_result, one_scale(1, "a matrix product")),
        ),
        "GridSample": _listed(
            attribute("mode", "linear", "bilinear", "nearest"), source="simple_op_builder.cc"
        ),
        "LayerNormalization": Rule(
            source="layer_norm_op_builder.cc",
            conditions=(_last_axis,),
            group=(*_UNSIGNED, _weights_of_8_bits),
        ),
        "LpNormalization": _listed(attribute("p", 2)),
        "MatMul": Rule(source=_PAGE, group=(*_UNSIGNED, _matmul_types, one_scale(1, "a matrix product"))),
        **each("Max Min", _listed(_two_inputs, source="simple_op_builder.cc")),
        "Pad": _listed(constant(1, "pads"), constant(2, "pad value"), source="pad_op_builder.cc"),
        **each(
            "ReduceMax ReduceMean ReduceMin ReduceSum",
            _listed(constant(1, "axes"), source="reduce_op_builder.cc"),
        ),
        "Resize": _listed(
            attribute("mode", "nearest", "nearest", "linear"),
            attribute("exclude_outside", 0),
            attribute("antialias", 0),
            source="resize_op_builder.cc",
        ),
        "Slice": _listed(
            *(constant(i, "starts, ends, axes or steps") for i in (1, 2, 3, 4)), source="slice_op_builder.cc"
        ),
        "Split": _listed(constant(1, "sizes"), source="split_op_builder.cc"),
        **each("Squeeze Unsqueeze", _listed(constant(1, "axes"), source="reshape_op_builder.cc")),
        "Tile": _listed(constant(1, "repeats"), source="tile_op_builder.cc"),
        "TopK": _listed(constant(1, "count"), source="topk.cc"),
    }
)

_NEWER = "not on the documentation's list; newer releases have it"


def _refuses(operators: Sequence[str]) -> str:
    """``GetCapability`` in ``qnn_execution_provider.cc``."""
    is_edge = len(operators) == 1 and operators[0] in {"DequantizeLinear", "QuantizeLinear"}
    return f"a lone {operators[0]} is not taken" if is_edge else ""


QNN = Provider(
    name="QNN",
    rules=RULES,
    common=(fixed_shapes,),
    single=(_integers,),
    refuses=_refuses,
    absent={"ai.onnx:ReduceProd": "on the documentation's list, but the QNN SDK refuses it"}
    | {
        f"ai.onnx:{name}": _NEWER
        for name in (
            "CumSum Einsum GatherElements GatherND GlobalMaxPool HardSigmoid LSTM Mean Mod RMSNormalization Reciprocal "
            "ReduceL2 ScatterElements ScatterND Sum ThresholdedRelu Upsample"
        ).split()
    },
    remarks=("the QNN SDK has the last word, on the device",),
)
