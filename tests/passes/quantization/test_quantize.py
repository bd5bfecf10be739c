"""Whole models: types, placement, numbers against onnxruntime.quantization, errors of layers."""

import collections
import logging
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from sardonyx.calib_data.data import CalibrationData
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.core.serialize import model_bytes
from sardonyx.core.targets import get_target
from sardonyx.passes.quantization import METHODS, QuantizeOptions, quantize


def ops(model):
    return collections.Counter(node.op_type for node in model.graph)


def fused(model, tmp_path):
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(model_bytes(model), options, providers=["CPUExecutionProvider"])
    return collections.Counter(n.op_type for n in onnx.load(tmp_path / "optimized.onnx").graph.node)


def outputs(model, data, name="y"):
    return np.concatenate([v[name] for v in OrtRunner().run(model, data.batches(16), [name])])


def initializers(model):
    return {name: v.const_value.numpy() for name, v in model.graph.initializers.items()}


def test_every_layer_runs_in_integers(cnn, images, cpu, tmp_path):
    result = quantize(cnn, images, target=cpu)
    kernels = fused(result.model, tmp_path)
    assert kernels["QLinearConv"] == 2
    assert kernels["QLinearAdd"] == 1
    assert kernels["Conv"] + kernels["Relu"] + kernels["Add"] == 0


def test_the_model_given_is_left_alone(cnn, images, cpu):
    before = model_bytes(cnn)
    quantize(cnn, images, target=cpu)
    assert model_bytes(cnn) == before


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("per_channel", [False, True])
def test_outputs_stay_near(cnn, images, cpu, method, symmetric, per_channel):
    options = QuantizeOptions(method=method, symmetric=symmetric, per_channel=per_channel)
    result = quantize(cnn, images, options, target=cpu)
    exact, rounded = outputs(cnn, images), outputs(result.model, images)
    assert np.abs(exact - rounded).max() < 0.15 * np.abs(exact).max()
    assert result.report.method == method


def test_interface_and_metrics(cnn, images, cpu):
    result = quantize(cnn, images, target=cpu)
    assert [v.name for v in result.model.graph.outputs] == ["y"]
    assert [str(d) for d in result.model.graph.inputs[0].shape] == ["N", "16", "12", "12"]
    assert result.report.after.size_bytes < 0.4 * result.report.before.size_bytes
    assert result.report.samples == 16
    assert len(result.report.fingerprint) == 64


def reference(model, data, path):
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.feeds = data.batches(16)

        def get_next(self):
            return next(self.feeds, None)

    logging.disable(logging.WARNING)
    (path / "m.onnx").write_bytes(model_bytes(model))
    kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "per_channel": True}
    quantize_static(path / "m.onnx", path / "q.onnx", Reader(), quant_format=QuantFormat.QDQ, **kinds)
    logging.disable(logging.NOTSET)
    return {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load(path / "q.onnx").graph.initializer}


def test_numbers_are_those_of_quantize_static(cnn, images, cpu, tmp_path):
    expected = reference(cnn, images, tmp_path)
    found = initializers(quantize(cnn, images, target=cpu).model)
    for name in ("x", "r", "t"):
        np.testing.assert_allclose(found[f"{name}_scale"], expected[f"{name}_scale"].reshape(()), rtol=1e-6)
        assert found[f"{name}_zero_point"] == expected[f"{name}_zero_point"].reshape(())
    for name in ("w1", "w2"):
        np.testing.assert_allclose(found[f"{name}_scale"], expected[f"{name}_scale"], rtol=1e-6)
        assert np.abs(found[f"{name}_quantized"].astype(int) - expected[f"{name}_quantized"]).max() <= 1
    np.testing.assert_allclose(found["b1_scale"], expected["b1_quantized_scale"], rtol=1e-6)
    assert np.abs(found["b1_quantized"] - expected["b1_quantized"]).max() <= 1


def test_bias_scale_is_input_times_weight(cnn, images, cpu):
    found = initializers(quantize(cnn, images, target=cpu).model)
    np.testing.assert_array_equal(found["b1_scale"], found["x_scale"] * found["w1_scale"])
    np.testing.assert_array_equal(found["b2_scale"], found["r_scale"] * found["w2_scale"])
    assert found["b1_quantized"].dtype == np.int32


def test_no_scale_is_unusable_and_zero_points_fit(cnn, images, cpu):
    for name, array in initializers(quantize(cnn, images, target=cpu).model).items():
        if name.endswith("_scale"):
            assert np.isfinite(array).all()
            assert (array > 0).all()
        elif name.endswith("_zero_point") and array.dtype == np.int8:
            assert not array.any()


@pytest.mark.parametrize(
    ("target", "symmetric", "kind", "zero"),
    [
        ("cpu-x86", None, np.uint8, None),
        ("cpu-x86", True, np.uint8, 128),
        ("cpu-arm64", None, np.int8, None),
        ("tensorrt", None, np.int8, 0),
        ("qnn", None, np.uint8, None),
    ],
)
def test_types_follow_the_target(cnn, images, target, symmetric, kind, zero):
    result = quantize(cnn, images, QuantizeOptions(symmetric=symmetric), target=get_target(target))
    found = initializers(result.model)["x_zero_point"]
    assert found.dtype == kind
    assert zero is None or found == zero
    assert result.report.types.reasons
    assert result.report.types.activation == np.dtype(kind).name


def test_weights_keep_to_seven_bits_without_vnni(cnn, images, cpu):
    result = quantize(cnn, images, target=replace(cpu, reduce_range=True))
    assert np.abs(initializers(result.model)["w1_quantized"].astype(int)).max() == 63
    assert result.report.types.weight_bits == 7


def test_an_excluded_node_stays_float(cnn, images, cpu, tmp_path):
    result = quantize(cnn, images, QuantizeOptions(exclude=("Conv_2",)), target=cpu)
    assert ("Conv_2", "excluded") in {(s.node, s.code) for s in result.report.skipped}
    assert fused(result.model, tmp_path)["QLinearConv"] == 1


def test_first_and_last_may_stay_float(cnn, images, cpu):
    result = quantize(cnn, images, QuantizeOptions(skip_first_last=True), target=cpu)
    assert {s.node for s in result.report.skipped if s.code == "first-or-last"} == {"Conv_0", "Gemm_7"}


def test_every_float_node_has_a_reason(cnn, images, cpu):
    result = quantize(cnn, images, target=cpu)
    integer = {c.node for c in result.report.applied}
    float_nodes = {n.name for n in result.model.graph} - integer - {None}
    unnamed = {n for n in float_nodes if "Linear" not in n} - {s.node for s in result.report.skipped}
    assert not unnamed


def test_a_relu_is_absorbed_and_a_clip_not_exceeded(network, normal, cpu):
    weights = {"w": normal(32, 16, 3, 3), "v": normal(32, 32, 3, 3), "l": np.float32(0), "h": np.float32(0.7)}
    text = "g (float[N,16,9,9] x) => (float[N,32,5,5] y) { a = Conv(x, w) c = Clip(a, l, h) y = Conv(c, v) }"
    data = CalibrationData.from_arrays({"x": normal(4, 16, 9, 9, seed=3, scale=1.0)})
    model = quantize(network(text, {k: np.asarray(v) for k, v in weights.items()}), data, target=cpu).model
    found = initializers(model)
    assert ops(model)["Clip"] == 0
    assert found["c_zero_point"] == 0
    assert np.float32(255) * found["c_scale"] <= np.float32(0.7)


def test_constant_activations_are_listed(cnn, cpu):
    data = CalibrationData.from_arrays({"x": np.zeros((4, 16, 12, 12), np.float32)})
    result = quantize(cnn, data, target=cpu)
    assert "x" in result.report.details["constant_tensors"]
    assert initializers(result.model)["x_scale"] == pytest.approx(1 / 255)


def test_a_huge_bias_is_written_exactly(network, normal, cpu):
    weights = {"w": normal(32, 16, 3, 3, scale=1e-6), "b": np.full(32, 1e6, np.float32)}
    model = network("g (float[N,16,9,9] x) => (float[N,32,7,7] y) { y = Conv(x, w, b) }", weights)
    data = CalibrationData.from_arrays({"x": normal(4, 16, 9, 9, seed=3)})
    result = quantize(model, data, target=cpu)
    np.testing.assert_allclose(outputs(result.model, data), 1e6, rtol=1e-2)
    assert [w.widened for w in result.report.weights] == [True]


def test_every_integer_layer_has_its_error(cnn, images, cpu):
    report = quantize(cnn, images, target=cpu).report
    assert {layer.node for layer in report.layers} == {c.node for c in report.applied}
    assert all(20 < layer.sqnr_db < 80 for layer in report.layers)


def test_progress_reaches_the_end(cnn, images, cpu):
    seen = []
    quantize(
        cnn, images, QuantizeOptions(batch_size=4), target=cpu, progress=lambda d, t: seen.append((d, t))
    )
    assert seen[-1] == (16, 16)


@pytest.mark.parametrize("activation", ["Relu", "Sigmoid", "Identity"])
def test_a_gemm_before_an_activation_keeps_its_integers(network, normal, cpu, tmp_path, activation):
    """ONNX Runtime joins Gemm and activation in float unless a Q/DQ pair stands between or behind them."""
    text = f"""g (float[N,512] x) => (float[N,4] y) {{
        a = Gemm (x, w1, b1)  b = {activation}(a)  y = Gemm (b, w2, b2)
    }}"""
    weights = {"w1": normal(512, 1024), "b1": normal(1024), "w2": normal(1024, 4), "b2": normal(4)}
    data = CalibrationData.from_arrays({"x": normal(16, 512, scale=1.0)})
    result = quantize(network(text, weights), data, target=cpu)
    kernels = fused(result.model, tmp_path)
    assert kernels["QGemm"] >= 1
    assert kernels["FusedGemm"] == 0


def test_weights_of_four_bits_take_half_of_the_bytes(cnn, images, cpu):
    eight, four = (quantize(cnn, images, QuantizeOptions(weight_bits=bits), target=cpu) for bits in (8, 4))
    assert four.model.opset_imports[""] == 21
    weight = initializers(four.model)["w2_quantized"]
    assert (weight.min(), weight.max()) == (-7, 7)
    assert four.report.types.weight_bits == 4
    assert four.report.after.size_bytes < 0.62 * eight.report.after.size_bytes
    assert eight.report.output_ratio < four.report.output_ratio < 0.1
    exact, rounded = outputs(cnn, images), outputs(four.model, images)
    assert np.square(rounded - exact).sum() / np.square(exact).sum() == pytest.approx(
        four.report.output_ratio, rel=0.01
    )
