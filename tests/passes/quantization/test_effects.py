"""What each node alone does to the outputs."""

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx.calib_data.data import CalibrationData
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.core.errors import UsageError
from sardonyx.core.targets import get_target
from sardonyx.passes.quantization import (
    QuantizeOptions,
    Quantizer,
    layer_effects,
    node_effects,
    quantize,
    textbook,
)

FRAGILE = """g (float[N,16,9,9] x) => (float[N,32,5,5] y) {
    a = Conv <pads = [1,1,1,1]> (x, w1)  r = Relu(a)
    b = Conv (r, w2)  s = Relu(b)  m = Mul(s, undo)  y = Conv(m, w3)
}"""


@pytest.fixture
def fragile(network, normal):
    """Three convolutions; one channel of the second is scaled 1,000 times, which a Mul behind it undoes."""
    weights = {
        "w1": normal(32, 16, 3, 3),
        "w2": normal(32, 32, 3, 3, seed=1),
        "w3": normal(32, 32, 3, 3, seed=2),
    }
    weights["w2"][5] *= 1000.0
    undo = np.ones((1, 32, 1, 1), np.float32)
    undo[0, 5] = 1e-3
    return network(FRAGILE, {**weights, "undo": undo})


@pytest.fixture
def samples(normal):
    """Sixteen samples for ``fragile``."""
    return CalibrationData.from_arrays({"x": normal(16, 16, 9, 9, seed=9, scale=1.0)})


def test_the_fragile_layer_is_named_first(fragile, samples, cpu):
    trace = quantize(fragile, samples, target=cpu).trace
    effects = node_effects(trace, samples, OrtRunner())
    assert effects[0].node == "Conv_2"
    assert {e.node for e in effects} == {n.name for n in trace.placement.nodes}
    assert effects[0].sqnr_db < effects[-1].sqnr_db - 20


def test_a_layer_with_an_outlier_in_every_channel_is_named_first(cnn, images, cpu):
    weight = cnn.graph.initializers["w2"]
    array = weight.const_value.numpy().copy()
    array[:, 0, 0, 0] = 50.0  # the others fall below a step
    weight.const_value = ir.tensor(array)
    quantizer = Quantizer(cnn, images, target=cpu)
    assert layer_effects(quantizer.quantize(), quantizer)[0].node == "Conv_2"


def test_recurrent_layers_are_ranked_too(network, normal, narrow):
    text = """g (float[S,B,20] x) => (float[S,1,B,24] y) {
        z = MatMul(x, v)  y = LSTM <hidden_size = 24> (z, w, r)
    }"""
    weights = {"v": normal(20, 20), "w": normal(1, 96, 20), "r": normal(1, 96, 24)}
    data = CalibrationData.from_arrays({"x": normal(7, 3, 20, scale=1.0)})
    quantizer = Quantizer(network(text, weights), replace(data, fixed_batch=7), target=narrow)
    outcome = quantizer.quantize()
    effects = {effect.node: effect for effect in layer_effects(outcome, quantizer)}
    assert {"LSTM_1"} <= set(effects) == {change.node for change in outcome.report.applied}
    assert 20 < effects["LSTM_1"].sqnr_db < 80
    spared = quantizer.quantize(exclude=("LSTM_1",)).report
    assert ("LSTM_1", "excluded") in {(s.node, s.code) for s in spared.skipped}


def test_with_all_but_the_fragile_layer_the_outputs_hold(fragile, samples, cpu):
    quantizer = Quantizer(fragile, samples, target=cpu)
    plain, spared = quantizer.quantize().report, quantizer.quantize(exclude=("Conv_2",)).report
    assert plain.output_ratio > 100 * spared.output_ratio
    assert {"Conv_0", "Conv_5"} <= {c.node for c in spared.applied}


@pytest.mark.parametrize("style", ["narrow", "full"])
def test_textbook_int8_is_exact(cnn, images, style):
    options = textbook(QuantizeOptions(), style)
    result = quantize(cnn, images, options, target=get_target("cpu-x86"))
    tensor = next(t for t in result.report.tensors if t.value == "x")
    seen_low, seen_high = float(images.source.arrays["x"].min()), float(images.source.arrays["x"].max())
    bottom = 128 if style == "full" else 127
    expected = max(seen_high / 127, -seen_low / (bottom if style == "full" else 127))
    assert tensor.zero_point == 0
    assert tensor.scale == pytest.approx(expected, rel=1e-6)
    assert result.report.types.weight_bits == 8


def test_sixteen_bits_need_a_target_that_takes_them(cnn, images, cpu):
    with pytest.raises(UsageError, match="takes no uint16"):
        quantize(cnn, images, QuantizeOptions(activation_type="uint16"), target=cpu)
    options = QuantizeOptions(activation_type="uint16")
    wide = quantize(cnn, images, options, target=get_target("qnn"))
    assert wide.report.output_ratio < quantize(cnn, images, target=get_target("qnn")).report.output_ratio
