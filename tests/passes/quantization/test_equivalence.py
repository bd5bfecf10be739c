"""What Q/DQ changes: no more than a bound with sixteen bits, and no kernel by more than one step with eight.

The bound is that of :mod:`error_bounds`. The quantized model is compared with the float model that holds the same
rounded weights, biases and constants, so that activations alone make the difference. Rounding a value to a grid of step
``s`` moves it by ``s / 2`` at most, and by what it lies beyond the ends of the grid. From there the error passes each layer
at most as often as the absolute values of its weights sum up to:

    |q(y) - y| <= sum over rounded values t of (s_t / 2 + beyond_t) * product of the |W| of the layers behind t

That is strict, and grows with every layer. For networks of many layers errors are taken as independent instead: their
variances ``s^2 / 12`` pass with squared weights, and no output may be off by more than six standard deviations.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from error_bounds import REACH, Kind, UnboundedError, error_bounds
from onnx.reference import ReferenceEvaluator
from quantization_graphs import Graph, Values, drawn_graphs, runs, zoo_graph
from sardonyx.calib_data.data import CalibrationData
from sardonyx.calib_data.runner import keep_needed, tapped
from sardonyx.core.targets import TARGET_NAMES, get_target
from sardonyx.passes.quantization import QuantizeOptions, QuantizeOutcome, quantize

WIDE = QuantizeOptions(activation_type="uint16", error_samples=0, keep_statistics=False)
DRAWN = 40
RECURRENT = {"LSTM", "GRU", "RNN"}
NETWORKS = "resnet vgg inception unet mobilenet densenet shufflenet vit bert".split()
SLOW = {"inception", "densenet", "vgg", "unet", "bert"}


def rounded_constants(outcome: QuantizeOutcome) -> ir.Model:
    """The float model, but with the weights, biases and other constants that the integers stand for."""
    model = outcome.trace.model.clone()
    twins = {node.name: node for node in outcome.model.graph}
    for node in model.graph:
        twin = twins.get(node.name)
        for index, value in enumerate(twin.inputs if twin is not None else ()):
            producer = value.producer() if value is not None else None
            is_restored = producer is not None and producer.op_type == "DequantizeLinear"
            if is_restored and producer.inputs[0].const_value is not None:
                fresh = _dequantized(producer, f"{node.name}_{index}_rounded")
                model.graph.register_initializer(fresh)
                node.resize_inputs(max(len(node.inputs), index + 1))
                node.replace_input_with(index, fresh)
                if node.op_type == "Gemm":  # alpha and beta are in the numbers
                    node.attributes.pop("alpha" if index == 1 else "beta", None)
    return model


def _dequantized(node: ir.Node, name: str) -> ir.Value:
    integers, scale, zero = (v.const_value.numpy() for v in node.inputs)
    axis = node.attributes.get_int("axis", 1)
    shape = [-1 if a == axis else 1 for a in range(integers.ndim)] if scale.ndim else []
    steps = integers.astype(np.int64) - zero.astype(np.int64).reshape(shape)
    tensor = ir.tensor((steps.astype(np.float32) * scale.reshape(shape)).astype(np.float32), name=name)
    return ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor)


def differences(graph: Graph, kind: Kind) -> list[tuple[float, float]]:
    """For each batch and output: the largest difference over its bound, and the largest bound over the largest output."""
    outcome = quantize(graph.model, graph.data, WIDE, target=get_target("qnn"))
    exact = rounded_constants(outcome)
    grids = {value.name: found for value, found in outcome.trace.parameters.items()}
    constants = {name: v.const_value.numpy() for name, v in exact.graph.initializers.items()}
    made = [v.name for node in exact.graph for v in node.outputs if v.name]
    results = [v.name for v in exact.graph.outputs if v.dtype == ir.DataType.FLOAT]
    float_runs = runs(exact, graph.data, [*(v.name for v in exact.graph.inputs), *made])
    found = []
    for values, rounded in zip(float_runs, runs(outcome.model, graph.data, results), strict=True):
        errors = error_bounds(exact, {**constants, **values}, grids, kind)
        for name in results:
            bound = errors[name] if kind == "worst" else REACH * np.sqrt(errors[name])
            share = np.abs(rounded[name] - values[name]) / bound
            found.append((float(share.max()), float(bound.max() / np.abs(values[name]).max())))
    return found


@cache
def bounded_graphs() -> tuple[Graph, ...]:
    """Drawn networks without recurrent layers, for which there is no bound; what is drawn differs from place to place."""
    graphs = [g for g in drawn_graphs(2 * DRAWN) if not RECURRENT & {n.op_type for n in g.model.graph}]
    assert len(graphs) >= DRAWN
    return tuple(graphs[:DRAWN])


@cache
def strict(index: int) -> list[tuple[float, float]]:
    """Nothing where a divisor can be zero within its error: no bound holds there."""
    try:
        return differences(bounded_graphs()[index], "worst")
    except UnboundedError as error:
        if "division" not in str(error):
            raise
        return []


@pytest.mark.parametrize("index", range(DRAWN))
def test_sixteen_bits_stay_within_the_strict_bound(index):
    assert max((share for share, _ in strict(index)), default=0.0) <= 1.0


def test_the_strict_bound_is_small_and_almost_reached():
    assert sum(bool(strict(index)) for index in range(DRAWN)) >= 0.9 * DRAWN
    shares, bounds = zip(*(pair for index in range(DRAWN) for pair in strict(index)), strict=True)
    assert np.median(bounds) < 0.01
    assert max(shares) > 0.5


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in NETWORKS]
)
def test_sixteen_bits_stay_within_six_deviations(name):
    for share, bound in differences(zoo_graph(name), "random"):
        assert share <= 1.0
        assert bound < 0.01


def test_an_operator_without_a_rule_is_not_guessed():
    with pytest.raises(UnboundedError, match="LSTM"):
        differences(zoo_graph("lstm"), "worst")


IMAGE, ROWS, TOKENS = ("N", 8, 6, 6), ("N", 24), ("N", 5, 24)

SINGLE: dict[str, tuple[tuple[int | str, ...], str, int, str]] = {
    "Conv": (IMAGE, "a = Conv <pads = [1,1,1,1]> (x, full, bias)", 6, "QLinearConv"),
    "Conv of groups": (IMAGE, "a = Conv <group = 8, pads = [1,1,1,1]> (x, lanes, bias)", 6, "QLinearConv"),
    "Conv, Relu": (IMAGE, "c = Conv (x, full, bias)  a = Relu(c)", 4, "QLinearConv"),
    "Conv, Clip": (IMAGE, "c = Conv (x, full, bias)  a = Clip(c, zero, one)", 4, "QLinearConv"),
    "ConvTranspose": (IMAGE, "a = ConvTranspose <strides = [2,2]> (x, up, bias)", 12, ""),
    "Gemm": (ROWS, "a = Gemm <transB = 1> (x, rows, bias)", 8, "QGemm"),
    "Gemm, Relu": (ROWS, "c = Gemm <transB = 1> (x, rows, bias)  a = Relu(c)", 8, "QGemm"),
    "MatMul": (TOKENS, "a = MatMul(x, columns)", 8, "QLinearMatMul"),
    "MatMul of two": (TOKENS, "t = Transpose <perm = [0,2,1]> (z)  a = MatMul(x, t)", 5, "QLinearMatMul"),
    "AveragePool": (
        IMAGE,
        "a = AveragePool <kernel_shape = [2,2], strides = [2,2]> (x)",
        3,
        "QLinearAveragePool",
    ),
    "GlobalAveragePool": (IMAGE, "a = GlobalAveragePool(x)", 1, "QLinearGlobalAveragePool"),
    "MaxPool": (IMAGE, "a = MaxPool <kernel_shape = [2,2], strides = [2,2]> (x)", 3, "MaxPool"),
    "Add": (IMAGE, "a = Add(x, z)", 6, "QLinearAdd"),
    "Add, Relu": (IMAGE, "c = Add(x, z)  a = Relu(c)", 6, "QLinearAdd"),
    "Add of a constant": (IMAGE, "a = Add(x, row)", 6, "QLinearAdd"),
    "Sub": (IMAGE, "a = Sub(x, z)", 6, ""),
    "Mul": (IMAGE, "a = Mul(x, z)", 6, "QLinearMul"),
    "Concat": (IMAGE, "a = Concat <axis = 1> (x, z)", 6, "QLinearConcat"),
    "LeakyRelu": (IMAGE, "a = LeakyRelu <alpha = 0.1> (x)", 6, "QLinearLeakyRelu"),
    "Sigmoid": (IMAGE, "a = Sigmoid(x)", 6, "QLinearSigmoid"),
    "Softmax": (TOKENS, "a = Softmax <axis = -1> (x)", 24, "QLinearSoftmax"),
    "Tanh": (IMAGE, "a = Tanh(x)", 6, ""),
    "Resize": (IMAGE, 'a = Resize <mode = "nearest"> (x, , sizes)', 12, "Resize"),
    "Reshape": (IMAGE, "a = Reshape(x, shape)", 18, "Reshape"),
    "Flatten": (IMAGE, "a = Flatten(x)", 288, "Flatten"),
    "Squeeze": (IMAGE, "u = Unsqueeze(x, axis)  a = Squeeze(u, axis)", 6, ""),
    "Unsqueeze": (IMAGE, "a = Unsqueeze(x, axis)", 6, "Unsqueeze"),
    "Transpose": (IMAGE, "a = Transpose <perm = [0,2,3,1]> (x)", 8, "Transpose"),
}
"""Float graphs of one operator: the shape of both inputs, how ``a`` is made of them, its last dimension, and the
kernel that takes integers; none where ONNX Runtime's CPU provider has none, and other providers do."""

TYPES = {
    "uint8": QuantizeOptions(),
    "int8": QuantizeOptions(activation_type="int8"),
    "symmetric int8": QuantizeOptions(activation_type="int8", symmetric=True),
}
CASES = [(name, kind) for name in SINGLE for kind in TYPES if "," not in name or "symmetric" not in kind]
"""A symmetric range does not start at zero, so that what a Relu or Clip does remains to be done."""

WEIGHTS = {
    "full": (8, 8, 3, 3),
    "lanes": (8, 1, 3, 3),
    "up": (8, 8, 2, 2),
    "rows": (8, 24),
    "columns": (24, 8),
    "bias": (8,),
    "row": (1, 1, 1, 6),
}
NUMBERS = {
    "zero": np.float32(0),
    "one": np.float32(1),
    "sizes": np.float32([1, 1, 2, 2]),
    "shape": np.int64([0, -1, 18]),
    "axis": np.int64([1]),
}


def single(name: str, options: QuantizeOptions) -> tuple[onnx.ModelProto, str, Values]:
    """The quantized model down to the integers of ``a``, what they are called, and samples."""
    shape, body, width, _ = SINGLE[name]
    random = np.random.default_rng(7)
    weights = {n: random.standard_normal(s).astype(np.float32) for n, s in WEIGHTS.items()}
    weights["last"] = random.standard_normal((width, 4)).astype(np.float32)
    dims = ",".join(str(d) for d in shape)
    text = f"g (float[{dims}] x, float[{dims}] z) => (float y) {{ {body}  y = MatMul(a, last) }}"
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]>\n{text}')
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    for key, array in (weights | NUMBERS).items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), key))
    feeds = {n: random.standard_normal((16, *shape[1:])).astype(np.float32) for n in ("x", "z")}
    target = replace(get_target("openvino"), reduce_range=get_target("cpu-x86").reduce_range)
    outcome = quantize(ir.from_proto(proto), CalibrationData.from_arrays(feeds), options, target=target)
    standing = outcome.trace.written.taps["a"]
    (integers,) = (n.inputs[0].name for n in outcome.model.graph if n.outputs[0].name == standing)
    with tapped(outcome.model, [integers]):
        cut = ir.to_proto(outcome.model)
    keep_needed(cut.graph, [integers])
    return cut, integers, feeds


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_integer_kernels_are_within_one_step_of_the_reference(name, kind, tmp_path):
    model, integers, feeds = single(name, TYPES[kind])
    options = ort.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "optimized.onnx"), 4
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (found,) = session.run([integers], feeds)
    (expected,) = ReferenceEvaluator(model).run([integers], feeds)
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1
    assert len(np.unique(expected)) > 32
    run, kernel = {n.op_type for n in onnx.load(tmp_path / "optimized.onnx").graph.node}, SINGLE[name][3]
    assert not kernel or (kernel in run and "DequantizeLinear" not in run)


def test_every_operator_of_a_target_is_among_them():
    bodies = " ".join(body for _, body, _, _ in SINGLE.values())
    known = frozenset().union(*(get_target(name).integer_ops for name in TARGET_NAMES))
    assert {op for op in known if f" {op}" not in bodies} == set()
