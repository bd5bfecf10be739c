"""Adjusted weights in whole models: smaller errors by each tool, zeros that stay, and a reason where one cannot help."""

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx.calib_data.data import CalibrationData
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.core.errors import DataError
from sardonyx.core.targets import get_target
from sardonyx.passes.quantization import QuantizeOptions, quantize
from sardonyx.passes.quantization.adjustments import adjust_weights
from sardonyx.passes.quantization.parameters import activation_parameters
from sardonyx.passes.quantization.placement import Placement

RUNNER = OrtRunner(threads=1)
WIDE = activation_parameters(-4.0, 4.0, "uint8", symmetric=False)
TIGHT = activation_parameters(0.0, 0.7, "uint8", symmetric=False)
LAYERS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}


def adjusted(model, data, target, tools, parameters=WIDE, **words):
    nodes = [n for n in model.graph if n.op_type in LAYERS]
    placement = Placement(nodes=nodes, values=[n.inputs[0] for n in nodes])
    options = QuantizeOptions(tools=tools, **words)
    chosen = {n.inputs[0]: parameters for n in nodes}
    return adjust_weights(model, placement, chosen, target, options, data=data, runner=RUNNER)


def outputs(model, data, name="y"):
    return np.concatenate([v[name] for v in RUNNER.run(model, data.batches(16), [name])])


def differences(model, data, target, tools, **words):
    options = QuantizeOptions(tools=tools, keep_statistics=False, error_samples=0, **words)
    result = quantize(model, data, options, target=target).model
    return outputs(model, data) - outputs(result, data)


def output_error(model, data, target, tools, **words):
    return float((differences(model, data, target, tools, **words) ** 2).mean())


@pytest.mark.parametrize("tools", [("round",), ("correct-bias",), ("mse-weights", "round", "correct-bias")])
@pytest.mark.parametrize("per_channel", [False, True])
def test_tools_halve_the_error_of_seven_bits(cnn, images, cpu, tools, per_channel):
    target, words = replace(cpu, reduce_range=True), {"per_channel": per_channel}
    plain = output_error(cnn, images, target, (), **words)
    assert output_error(cnn, images, target, tools, **words) < 0.5 * plain


def test_scales_of_least_square_error_help_beside_outliers(network, normal, cpu):
    weight = normal(1024, 64)
    weight[0] = 10 * np.abs(weight).max()  # read by an input that hardly stirs
    model = network("g (float[N,1024] x) => (float[N,64] y) { y = Gemm(x, w) }", {"w": weight})
    x = normal(32, 1024, seed=4, scale=1.0)
    x[:, 0] *= 1e-3
    data, target = CalibrationData.from_arrays({"x": x}), replace(cpu, reduce_range=True)
    plain, blind, seeing = (
        output_error(model, data, target, t) for t in ((), ("mse-weights",), ("mse-weights", "round"))
    )
    assert blind <= plain
    assert seeing < 0.1 * plain


@pytest.mark.parametrize("target", ["cpu-x86", "cpu-arm64", "tensorrt"])
def test_all_tools_together_help_on_every_target(cnn, images, target):
    tools = ("mse-weights", "round", "correct-bias")
    plain, best = (output_error(cnn, images, get_target(target), t) for t in ((), tools))
    assert best < plain


def test_layers_report_what_they_gained(cnn, images, cpu):
    found = adjusted(cnn, images, cpu, ("round", "correct-bias"))
    assert set(found) == {"Conv_0", "Conv_2", "Gemm_7"}
    for adjustment in found.values():
        before, after = adjustment.errors
        assert 0 < after < before < 1e-2
        assert adjustment.values.dtype == np.int8
        assert not adjustment.notes


def test_scales_alone_need_no_samples(cnn, images, cpu):
    found = adjusted(cnn, images, cpu, ("mse-weights",))
    assert all(a.scale is not None and a.values is None and a.errors is None for a in found.values())


def test_pruned_weights_stay_zero(cnn, images, cpu):
    for name in ("w1", "w2", "w3"):
        weight = cnn.graph.initializers[name]
        array = weight.const_value.numpy().copy()
        array[np.random.default_rng(0).random(array.shape) < 0.5] = 0.0
        weight.const_value = ir.tensor(array, name=name)
    options = QuantizeOptions(tools=("mse-weights", "round", "correct-bias"), keep_statistics=False)
    result = quantize(cnn, images, options, target=cpu).model
    for name in ("w1", "w2"):
        exact = cnn.graph.initializers[name].const_value.numpy()
        assert not result.graph.initializers[f"{name}_quantized"].const_value.numpy()[exact == 0.0].any()


def products(network, normal, text):
    weights = {"w": normal(8, 16), "b": normal(16), "s": np.float32(0.5), "v": normal(2, 8, 16)}
    used = {k: np.asarray(v) for k, v in weights.items() if f" {k})" in text or f" {k} " in text}
    data = CalibrationData.from_arrays({"x": np.abs(normal(12, 2, 8, seed=4, scale=1.0))})
    return network(f"g (float[N,2,8] x) => (float[N,2,16] y) {{ {text} }}", used), data


@pytest.mark.parametrize("constant", ["b", "s"])
def test_an_add_behind_a_product_takes_the_shift(network, normal, cpu, constant):
    model, data = products(network, normal, f"a = MatMul(x, w) y = Add(a, {constant})")
    assert not adjusted(model, data, cpu, ("correct-bias",), parameters=TIGHT)["MatMul_0"].notes
    words = {"method": "percentile", "percentile": 80.0}
    plain, best = (
        np.abs(differences(model, data, cpu, t, **words).mean((0, 1))).max() for t in ((), ("correct-bias",))
    )
    assert best < 0.1 * plain


@pytest.mark.parametrize(
    ("text", "tools", "code"),
    [
        ("y = MatMul(x, w)", ("correct-bias",), "no-bias"),
        ("a = MatMul(x, w) c = Add(a, b) y = Mul(c, a)", ("correct-bias",), "no-bias"),
        ("y = MatMul(x, v)", ("round",), "no-rows"),
    ],
)
def test_a_layer_that_cannot_has_a_reason(network, normal, cpu, text, tools, code):
    model, data = products(network, normal, text)
    adjustment = adjusted(model, data, cpu, tools)["MatMul_0"]
    assert [s.code for s in adjustment.notes] == [code]
    assert adjustment.bias_shift is None
    assert adjustment.values is None


def test_a_cap_that_is_too_low_leaves_the_nearest_integers(cnn, images, cpu):
    found = adjusted(cnn, images, cpu, ("round", "correct-bias"), memory_bytes=1 << 19)
    assert [s.code for s in found["Conv_2"].notes] == ["too-large"]
    assert found["Conv_2"].values is None
    assert found["Conv_2"].bias_shift is not None
    assert found["Gemm_7"].values is not None


def test_a_huge_bias_keeps_its_scale(network, normal, cpu):
    weights = {"w": normal(32, 16, 3, 3, scale=1e-6), "b": np.full(32, 1e6, np.float32)}
    model = network("g (float[N,16,9,9] x) => (float[N,32,7,7] y) { y = Conv(x, w, b) }", weights)
    data = CalibrationData.from_arrays({"x": normal(4, 16, 9, 9, seed=3)})
    options = QuantizeOptions(tools=("mse-weights", "round", "correct-bias"), keep_statistics=False)
    result = quantize(model, data, options, target=cpu)
    np.testing.assert_allclose(outputs(result.model, data), 1e6, rtol=1e-2)


def test_the_same_seed_gives_the_same_integers(cnn, images, cpu):
    one, other = (adjusted(cnn, images, cpu, ("round",), seed=3) for _ in range(2))
    np.testing.assert_array_equal(one["Conv_2"].values, other["Conv_2"].values)


def test_samples_that_are_not_finite_are_refused(network, normal, cpu):
    model, _ = products(network, normal, "a = Log(x) y = MatMul(a, w)")
    data = CalibrationData.from_arrays({"x": np.zeros((3, 2, 8), np.float32)})
    with pytest.raises(DataError, match="a holds NaN"):
        adjusted(model, data, cpu, ("round",))
