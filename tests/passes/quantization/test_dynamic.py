"""Dynamic quantization: kernels, layouts, graphs inside, errors and refusals."""

import collections
from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from sardonyx.calib_data.data import CalibrationData
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.core.errors import InputError, ModelError, UsageError
from sardonyx.core.serialize import model_bytes
from sardonyx.core.targets import get_target
from sardonyx.passes.quantization.dynamic import DynamicOptions, quantize_dynamic, quantize_recurrent

PRODUCT = "g (float[N,5,32] x) => (float[N,5,24] y) { h = MatMul(x, w)  y = Add(h, b) }"


def kernels(model, tmp_path):
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(model_bytes(model), options, providers=["CPUExecutionProvider"])
    graph = onnx.load(tmp_path / "optimized.onnx").graph
    return collections.Counter(n.op_type for n in graph.node)


def error(model, result, **feed):
    names = [v.name for v in model.graph.outputs]
    runs = [next(iter(OrtRunner(threads=1).run(m, [feed], names, optimize=True))) for m in (model, result)]
    return max(np.abs(runs[0][n] - runs[1][n]).max() / np.abs(runs[0][n]).max() for n in names)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        (PRODUCT, {"w": (32, 24), "b": (24,)}),
        (
            "g (float[N,32] x) => (float[N,24] y) { y = Gemm <transB = 1> (x, w, b) }",
            {"w": (24, 32), "b": (24,)},
        ),
        (
            "g (float[N,32] x) => (float[N,24] y) { y = Gemm <alpha = 0.5, beta = 3.0> (x, w, b) }",
            {"w": (32, 24), "b": (24,)},
        ),
    ],
)
def test_products_run_in_one_kernel(network, normal, narrow, tmp_path, text, shapes, per_channel):
    model = network(text, {n: normal(*s, seed=i) for i, (n, s) in enumerate(shapes.items())})
    result = quantize_dynamic(model, DynamicOptions(per_channel=per_channel), target=narrow)
    assert kernels(result.model, tmp_path) == {"DynamicQuantizeMatMul": 1}
    x = normal(3, *(5, 32) if "5" in text.split("x)")[0] else (32,), seed=5, scale=1.0)
    assert error(model, result.model, x=x) < 0.03
    assert result.report.weights[0].sqnr_db > 30
    assert [v.name for v in result.model.graph.outputs] == ["y"]


def test_products_of_one_value_share_its_integers(network, normal, narrow, tmp_path):
    text = "g (float[N,32] x) => (float[N,16] y) { q = MatMul(x, a)  k = MatMul(x, b)  y = Mul(q, k) }"
    model = network(text, {"a": normal(32, 16), "b": normal(32, 16, seed=1)})
    result = quantize_dynamic(model, target=narrow).model
    found = kernels(result, tmp_path)
    assert (found["DynamicQuantizeLinear"], found["MatMulIntegerToFloat"]) == (1, 2)
    assert error(model, result, x=normal(8, 32, seed=5, scale=1.0)) < 0.03


def test_weights_are_those_of_the_formula(network, normal, narrow):
    model = network(PRODUCT, {"w": normal(32, 24), "b": normal(24)})
    graph = quantize_dynamic(model, target=narrow).model.graph
    held = {v.name: v.const_value.numpy() for v in graph.initializers.values()}
    weight = normal(32, 24)
    integers = next(a for n, a in held.items() if n.endswith("_quantized"))
    scale = next(a for n, a in held.items() if n.endswith("weight_scale"))
    np.testing.assert_allclose(scale, np.abs(weight).max(0) / 63, rtol=1e-6)
    assert np.abs(integers * scale - weight).max() <= scale.max() * 0.5001


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(("direction", "count"), [("forward", 1), ("reverse", 1), ("bidirectional", 2)])
def test_lstm_weights_are_laid_out_for_the_kernel(
    network, normal, narrow, tmp_path, direction, count, per_channel
):
    text = f"""g (float[S,B,20] x) => (float[S,{count},B,24] y, float[{count},B,24] h, float[{count},B,24] c) {{
        y, h, c = LSTM <hidden_size = 24, direction = "{direction}"> (x, w, r, b)
    }}"""
    shapes = {"w": (count, 96, 20), "r": (count, 96, 24), "b": (count, 192)}
    model = network(text, {n: normal(*s, seed=i) for i, (n, s) in enumerate(shapes.items())})
    result = quantize_dynamic(model, DynamicOptions(per_channel=per_channel), target=narrow)
    assert kernels(result.model, tmp_path) == {"DynamicQuantizeLSTM": 1}
    assert error(model, result.model, x=normal(7, 3, 20, seed=5, scale=1.0)) < 0.03
    assert result.report.after.size_bytes < 0.4 * result.report.before.size_bytes


LOOP = """g (float[N,32] x, int64 n) => (float[N,32] y) {
    t = Constant <value = bool {1}> ()
    y = Loop (n, t, x) <body = b (int64 i, bool c, float[N,32] s) => (bool d, float[N,32] u) {
        d = Identity(c)  m = MatMul(s, w)  u = Tanh(m) }>
}"""


@pytest.mark.parametrize("only_recurrent", [False, True])
def test_graphs_inside_are_entered(network, normal, narrow, tmp_path, only_recurrent):
    model = network(LOOP, {"w": normal(32, 32)})
    if only_recurrent:
        result = model.clone()
        assert [c.after for c in quantize_recurrent(result, target=narrow).applied] == ["int8"]
    else:
        result = quantize_dynamic(model, target=narrow).model
    inner = [n.op_type for n in ir.traversal.RecursiveGraphIterator(result.graph)]
    assert "MatMulInteger" in inner
    assert error(model, result, x=normal(2, 32, seed=5, scale=1.0), n=np.array(3)) < 0.05


def test_recurrent_layers_alone(network, normal, narrow):
    text = """g (float[S,B,20] x) => (float[S,1,B,24] y) {
        z = MatMul(x, v)  y = LSTM <hidden_size = 24> (z, w, r)
    }"""
    weights = {"v": normal(20, 20), "w": normal(1, 96, 20), "r": normal(1, 96, 24)}
    model = network(text, weights)
    report = quantize_recurrent(model, target=narrow)
    assert [n.op_type for n in model.graph] == ["MatMul", "DynamicQuantizeLSTM"]
    assert [c.node for c in report.applied] == ["LSTM_1"]


def test_convolutions_on_request(network, normal, narrow, tmp_path):
    text = "g (float[N,8,9,9] x) => (float[N,16,9,9] y) { y = Conv <pads = [1,1,1,1]> (x, w, b) }"
    model = network(text, {"w": normal(16, 8, 3, 3), "b": normal(16)})
    result = quantize_dynamic(model, DynamicOptions(op_types=("Conv",)), target=narrow)
    assert kernels(result.model, tmp_path)["ConvInteger"] == 1
    assert error(model, result.model, x=normal(2, 8, 9, 9, seed=5, scale=1.0)) < 0.03
    with pytest.raises(InputError, match="nothing in the model"):
        quantize_dynamic(model, target=narrow)


def test_samples_tell_the_error_of_the_outputs(network, normal, narrow):
    model = network(PRODUCT, {"w": normal(32, 24), "b": normal(24)})
    data = CalibrationData.from_arrays({"x": normal(4, 5, 32, scale=1.0)})
    report = quantize_dynamic(model, target=narrow, data=data).report
    assert 0 < report.output_errors["y"] < 0.02
    assert report.weight_bits == 7


SHAPES = {"w": (8, 8), "gw": (1, 24, 8), "gr": (1, 24, 8), "lw": (1, 32, 8), "lr": (1, 32, 8)}


@pytest.mark.parametrize(
    ("body", "used", "code"),
    [
        ("y, h = GRU <hidden_size = 8> (k, gw, gr)", ("gw", "gr"), "no-kernel"),
        ("y, h, c = LSTM <hidden_size = 8, layout = 1> (k, lw, lr)", ("lw", "lr"), "layout"),
        ("t = MatMul(k, x)  y = Unsqueeze(t, a)", ("a",), "constant"),
    ],
)
def test_what_stays_float_says_why(network, normal, narrow, body, used, code):
    arrays = {n: np.array([0]) if n == "a" else normal(*SHAPES[n]) for n in ("w", *used)}
    model = network(f"g (float[8,8,8] x) => (float[A,B,C,D] y) {{ k = MatMul(x, w)  {body} }}", arrays)
    assert [s.code for s in quantize_dynamic(model, target=narrow).report.skipped] == [code]


def test_half_precision_is_taken(network, normal, narrow):
    text = "g (float16[N,32] x) => (float16[N,24] y) { y = MatMul(x, w) }"
    model = network(text, {"w": normal(32, 24).astype(np.float16)})
    result = quantize_dynamic(model, target=narrow).model
    assert "MatMulInteger" in {n.op_type for n in result.graph}
    assert error(model, result, x=normal(4, 32, seed=5, scale=1.0).astype(np.float16)) < 0.03


@pytest.mark.parametrize(
    ("options", "target", "opset", "error", "match"),
    [
        ({}, "tensorrt", 17, UsageError, "no kernels"),
        ({"exclude": ("*",)}, "cpu-x86", 17, InputError, "nothing in the model"),
        ({}, "cpu-x86", 9, ModelError, "opset 9"),
    ],
)
def test_refusals(network, normal, options, target, opset, error, match):
    model = network(PRODUCT, {"w": normal(32, 24), "b": normal(24)}, opset=opset)
    with pytest.raises(error, match=match):
        quantize_dynamic(model, DynamicOptions(**options), target=get_target(target))


@pytest.mark.parametrize(
    "wrong", [{"op_types": ("Relu",)}, {"op_types": ()}, {"error_samples": 0}, {"max_error": 0.0}]
)
def test_options_are_checked(wrong):
    with pytest.raises(UsageError):
        DynamicOptions(**wrong)


def test_weights_that_are_not_finite_and_twice(network, normal, narrow):
    model = network(PRODUCT, {"w": np.full((32, 24), np.inf, "f4"), "b": normal(24)})
    with pytest.raises(ModelError, match="'w'"):
        quantize_dynamic(model, target=narrow)
    good = quantize_dynamic(network(PRODUCT, {"w": normal(32, 24), "b": normal(24)}), target=narrow)
    with pytest.raises(InputError, match="quantized already"):
        quantize_dynamic(good.model, target=narrow)


def test_a_layer_that_costs_too_much_stays_float(network, normal, narrow):
    text = """g (float[S,B,20] x) => (float[S,1,B,24] y) {
        z = MatMul(x, v)  u = LSTM <hidden_size = 24> (z, w, r)  q = MatMul(u, m)  y = MatMul(q, k)
    }"""
    fragile = np.geomspace(1e-4, 1e4, 24, dtype=np.float32)
    weights = {"v": normal(20, 20), "w": normal(1, 96, 20), "r": normal(1, 96, 24)}
    weights |= {"m": np.diag(fragile), "k": np.diag(1 / fragile)}
    model = network(text, weights)
    data = CalibrationData.from_arrays({"x": normal(7, 3, 20, scale=1.0)})
    data = replace(data, fixed_batch=7)
    options = DynamicOptions(max_error=0.05)
    report = quantize_dynamic(model, options, target=narrow, data=data).report
    assert {s.node for s in report.skipped if s.code == "measured"} == {"MatMul_3"}
    assert report.output_errors["y"] < 0.1
    with pytest.raises(UsageError, match="needs samples"):
        quantize_dynamic(network(text, weights), options, target=narrow)
