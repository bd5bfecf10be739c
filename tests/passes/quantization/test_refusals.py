"""What quantization refuses, and what it says."""

import numpy as np
import pytest
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import DataError, InputError, LimitError, ModelError, UsageError
from sardonyx.core.targets import get_target
from sardonyx.passes.quantization import QuantizeOptions, quantize


def test_a_quantized_model_is_refused_unless_forced(cnn, images, cpu):
    once = quantize(cnn, images, target=cpu).model
    with pytest.raises(InputError, match="quantized already") as caught:
        quantize(once, images, target=cpu)
    assert "--force" in caught.value.remedy
    quantize(once, images, QuantizeOptions(force=True, op_types=("Gemm",)), target=cpu)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["w1", "b2"])
def test_weights_that_are_not_finite_are_named(network, cnn_weights, images, cpu, bad, name):
    from onnx_ir import tensor

    text = "g (float[N,16,12,12] x) => (float[N,32,8,8] y) { a = Conv(x, w1, b1) y = Conv(a, w2, b2) }"
    model = network(text, {k: v for k, v in cnn_weights.items() if k[1] in "12"})
    cnn_weights[name].flat[0] = bad
    model.graph.initializers[name].const_value = tensor(cnn_weights[name])
    with pytest.raises((ModelError, DataError), match=name):
        quantize(model, images, target=cpu)


def test_samples_that_are_not_finite_are_refused(cnn, images, cpu):
    array = images.source.arrays["x"].copy()
    array[9, 0, 0, 0] = np.inf
    with pytest.raises(DataError, match=r"batch 2: .*x"):
        quantize(cnn, CalibrationData.from_arrays({"x": array}), QuantizeOptions(batch_size=4), target=cpu)


def test_nothing_to_quantize_is_refused(network, cpu):
    model = network("g (float[N,4] x) => (float[N,4] y) { y = Sigmoid(x) }", {})
    data = CalibrationData.from_arrays({"x": np.ones((2, 4), np.float32)})
    with pytest.raises(InputError, match="no convolution or matrix product"):
        quantize(model, data, target=cpu)


def test_a_target_without_integer_kernels_is_refused(cnn, images):
    with pytest.raises(InputError, match="cuda runs no Q/DQ layer") as caught:
        quantize(cnn, images, target=get_target("cuda"))
    assert "--precision float16" in caught.value.remedy


def test_excluding_everything_is_refused(cnn, images, cpu):
    with pytest.raises(InputError, match="excluded"):
        quantize(cnn, images, QuantizeOptions(exclude=("*",)), target=cpu)


def test_half_precision_becomes_float32_first(network, normal, cpu):
    model = network(
        "g (float16[N,4] x) => (float16[N,4] y) { y = MatMul(x, w) }", {"w": normal(4, 4).astype("f2")}
    )
    data = CalibrationData.from_arrays({"x": normal(2, 4, scale=1.0).astype(np.float16)})
    result = quantize(model, data, target=cpu)
    assert result.report.widened
    assert result.model.graph.outputs[0].dtype == model.graph.outputs[0].dtype


def test_the_memory_cap_is_kept(cnn, images, cpu):
    with pytest.raises(LimitError, match="cap"):
        quantize(cnn, images, QuantizeOptions(method="mse", memory_bytes=1000), target=cpu)


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "best"},
        {"percentile": 0.0},
        {"percentile": 101.0},
        {"weight_range": "half"},
        {"batch_size": 0},
        {"tools": ("polish",)},
        {"activation_type": "int4"},
    ],
)
def test_options_are_checked(wrong):
    with pytest.raises(UsageError):
        QuantizeOptions(**wrong)


@pytest.mark.parametrize("opset", [9, 11, 12])
def test_an_old_opset_is_raised(network, normal, cpu, opset):
    text = "g (float[N,16,9,9] x) => (float[N,32,7,7] y) { a = Conv(x, w, b)  y = Relu(a) }"
    model = network(text, {"w": normal(32, 16, 3, 3), "b": normal(32)}, opset)
    data = CalibrationData.from_arrays({"x": normal(4, 16, 9, 9, seed=3)})
    result = quantize(model, data, target=cpu)
    assert result.report.opset == (opset, 13)
    assert result.model.opset_imports[""] == 13


@pytest.mark.parametrize(
    ("layer", "gates", "target", "code"),
    [("GRU", 3, "cpu-x86", "no-kernel"), ("LSTM", 4, "cpu-x86", None), ("LSTM", 4, "tensorrt", "recurrent")],
)
def test_recurrent_layers_become_dynamic_or_stay_with_a_reason(network, normal, layer, gates, target, code):
    text = f"""g (float[S,N,8] x) => (float[S,N,16] y) {{
        h = {layer} <hidden_size = 16> (x, w, r)  q = Squeeze(h, a)  y = MatMul(q, m)
    }}"""
    axis = np.array([1], np.int64)
    weights = {"w": normal(1, 16 * gates, 8), "r": normal(1, 16 * gates, 16), "a": axis, "m": normal(16, 16)}
    data = CalibrationData.from_arrays({"x": normal(5, 3, 8, scale=1.0)})
    report = quantize(network(text, weights), data, target=get_target(target)).report
    assert [s.code for s in report.skipped if s.node == f"{layer}_0"] == ([code] if code else [])
    assert ("dynamic" in {c.what for c in report.applied}) == (code is None)


def test_a_recurrent_layer_that_a_dynamic_range_would_blind_stays_float(network, normal, narrow):
    text = "g (float[S,N,8] x) => (float[S,1,N,16] y) { k = MatMul(x, m)  y = LSTM <hidden_size = 16> (k, w, r) }"
    spread = np.diag(np.geomspace(1, 1e4, 8, dtype=np.float32))
    weights = {"w": normal(1, 64, 8) @ np.linalg.inv(spread), "r": normal(1, 64, 16), "m": spread}
    data = CalibrationData.from_arrays({"x": normal(5, 3, 8, scale=1.0)})
    report = quantize(network(text, weights), data, target=narrow).report
    assert {s.node: s.code for s in report.skipped}["LSTM_1"] == "measured"
    assert [c.node for c in report.applied] == ["MatMul_0"]


def test_a_model_of_recurrent_layers_alone(network, normal, narrow):
    text = "g (float[S,N,8] x) => (float[S,1,N,16] y) { y = LSTM <hidden_size = 16> (x, w, r) }"
    model = network(text, {"w": normal(1, 64, 8), "r": normal(1, 64, 16)})
    data = CalibrationData.from_arrays({"x": normal(5, 3, 8, scale=1.0)})
    result = quantize(model, data, target=narrow)
    assert [n.op_type for n in result.model.graph] == ["DynamicQuantizeLSTM"]
    assert result.report.output_ratio < 1e-3
    with pytest.raises(InputError, match="no convolution or matrix product"):
        quantize(model, data, QuantizeOptions(exclude=("LSTM_0",)), target=narrow)


def test_what_does_not_pay_is_quantized_and_said(network, normal, cpu):
    model = network(
        "g (float[N,2,4,4] x) => (float[N,2,2,2] y) { y = Conv(x, w) }", {"w": normal(2, 2, 3, 3)}
    )
    data = CalibrationData.from_arrays({"x": normal(4, 2, 4, 4)})
    result = quantize(model, data, target=cpu)
    assert result.report.details["expected_faster"] is False
    assert [c.node for c in result.report.applied] == ["Conv_0"]


@pytest.mark.parametrize(("target", "said"), [("qnn", True), ("nnapi", True), ("cpu-x86", False)])
def test_open_dimensions_are_mentioned_where_the_target_takes_none(cnn, images, target, said):
    reasons = quantize(cnn, images, target=get_target(target)).report.types.reasons
    assert any("fix N of input 'x'" in reason for reason in reasons) == said
