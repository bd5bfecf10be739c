"""What the writer makes of adjustments: scales, integers and shifts as given, and nearest integers where a scale grows."""

from dataclasses import replace

import numpy as np
import pytest
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.passes.quantization.insertion import Writer
from sardonyx.passes.quantization.options import QuantizeOptions
from sardonyx.passes.quantization.parameters import WeightAdjustment, activation_parameters
from sardonyx.passes.quantization.placement import Placement

INPUT = activation_parameters(-1.0, 1.0, "uint8", symmetric=False)


def write(model, target, adjustment):
    (node,) = model.graph
    placement = Placement(nodes=[node], values=[node.inputs[0], node.outputs[0]])
    parameters = {
        node.inputs[0]: INPUT,
        node.outputs[0]: activation_parameters(-2e4, 2e4, "uint16", symmetric=False),
    }
    words = {"adjustments": {node.name: adjustment}}
    return Writer(model.graph, placement, parameters, target, QuantizeOptions(), **words).write()


def content(model, name):
    return model.graph.initializers[name].const_value.numpy()


@pytest.fixture
def gemm(network, normal):
    def make(words="", **weights):
        inputs = ", ".join(["x", "w", *weights])
        text = f"g (float[N,6] x) => (float[N,4] y) {{ y = Gemm {words} ({inputs}) }}"
        return network(text, {"w": normal(6, 4), **weights}, opset=21)

    return make


def test_scales_and_integers_are_written_as_given(gemm, cpu):
    model = gemm()
    scale, values = np.full(4, 0.02), np.arange(24, dtype=np.int8).reshape(6, 4)
    weight = write(model, cpu, WeightAdjustment(scale, values)).weights["Gemm_0"]
    np.testing.assert_array_equal(content(model, "w_quantized"), values)
    np.testing.assert_allclose(weight.restored(), values * 0.02, rtol=1e-6)


@pytest.mark.parametrize("quantized_bias", [False, True])
def test_a_layer_without_a_bias_gets_one_for_its_shift(gemm, cpu, quantized_bias):
    model, shift = gemm(), np.array([1.0, -2.0, 0.5, 0.0])
    write(model, replace(cpu, quantized_bias=quantized_bias), WeightAdjustment(bias_shift=shift))
    x = np.zeros((1, 6), np.float32)
    (made,) = OrtRunner(1).run(model, [{"x": x}], [model.graph.outputs[0].name])
    np.testing.assert_allclose(made["y"][0], shift, atol=0.7)  # the output's step is 0.6
    assert ("w_bias_quantized" in model.graph.initializers) is quantized_bias


def test_factors_of_a_gemm_are_in_what_is_written(gemm, cpu):
    bias = np.full(4, 3.0, np.float32)
    model = gemm("<alpha = 0.5, beta = 2.0>", b=bias)
    exact = content(model, "w") * 0.5
    weight = write(model, cpu, WeightAdjustment(bias_shift=np.ones(4))).weights["Gemm_0"]
    np.testing.assert_allclose(weight.restored(), exact, atol=float(weight.scale.max()) * 0.51)
    np.testing.assert_allclose(content(model, "b_quantized") * content(model, "b_scale"), 7.0, rtol=1e-4)
    (gemm_node,) = [n for n in model.graph if n.op_type == "Gemm"]
    assert not gemm_node.attributes


def test_a_channel_whose_scale_grows_is_rounded_to_nearest_again(gemm, cpu):
    bias = np.array([1e6, 0.0, 0.0, 0.0], np.float32)
    model = gemm(b=bias)
    adjustment = WeightAdjustment(np.full(4, 0.01), np.full((6, 4), 5, np.int8))
    written = write(model, cpu, adjustment)
    values = content(model, "w_quantized")
    assert (values[:, 1:] == 5).all()
    np.testing.assert_allclose(
        values[:, 0] * written.weights["Gemm_0"].scale[0], content(model, "w")[:, 0], atol=0.04
    )
    assert written.widened == ("Gemm_0",)
