"""Rounding blocks by the layer's output and by half-quadratic splitting; embedding tables; graphs inside."""

import numpy as np
import pytest
from onnxruntime.quantization.matmul_nbits_quantizer import HQQWeightOnlyQuantConfig, HQQWeightOnlyQuantizer
from sardonyx.calib_data.data import CalibrationData
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.core.errors import InputError, LimitError, UsageError
from sardonyx.passes.quantization import WeightOnlyOptions, quantize_weights
from sardonyx.passes.quantization.blocks import BlockFormat, quantize_blocks, restore_blocks
from sardonyx.passes.quantization.gptq import round_blocks
from sardonyx.passes.quantization.hqq import half_quadratic

LAYER = "g (float[N,64] x) => (float[N,24] y) { y = MatMul(x, w) }"


@pytest.fixture
def correlated(normal):
    """Inputs that go together: 64 numbers made of 12."""
    return lambda count, seed=3: normal(count, 12, seed=seed, scale=1.0) @ normal(12, 64, seed=4, scale=1.0)


def energy(inputs, difference):
    return float(np.square(inputs @ difference).sum())


def output(model, **feed):
    name = model.graph.outputs[0].name
    return next(iter(OrtRunner(threads=1).run(model, [feed], [name])))[name]


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("rows", [64, 50])
def test_outputs_are_nearer_than_with_nearest(normal, correlated, bits, symmetric, rows):
    weight, inputs = normal(rows, 24), correlated(256)[:, :rows].astype(np.float64)
    form = BlockFormat(bits, 16, symmetric)
    found, gain = round_blocks(weight, inputs.T @ inputs / 256, form)
    plain = quantize_blocks(weight, form)
    errors = [energy(inputs, weight - restore_blocks(b, rows, bits)) for b in (plain, found)]
    assert errors[1] < 0.5 * errors[0]
    assert gain == pytest.approx(10 * np.log10(errors[0] / errors[1]), abs=1e-3)


@pytest.mark.parametrize("symmetric", [False, True])
def test_zeros_stay_zeros(normal, correlated, symmetric):
    weight = normal(64, 24)
    weight[normal(64, 24, seed=8) > 0] = 0.0
    inputs = correlated(256).astype(np.float64)
    form = BlockFormat(4, 16, symmetric)
    found, gain = round_blocks(weight, inputs.T @ inputs, form)
    assert gain > 0
    assert not restore_blocks(found, 64, 4)[weight == 0].any()


def test_independent_inputs_gain_nothing_and_lose_nothing(normal):
    weight, form = normal(32, 8), BlockFormat(4, 16)
    found, gain = round_blocks(weight, np.eye(32), form)
    assert gain == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_array_equal(found.packed, quantize_blocks(weight, form).packed)


def test_inputs_that_are_always_zero(normal):
    _, gain = round_blocks(normal(32, 8), np.zeros((32, 32)), BlockFormat(4, 16))
    assert gain == 0.0


@pytest.mark.parametrize("bits", [4, 8])
def test_half_quadratic_errors_are_those_of_onnxruntime_or_less(normal, bits):
    torch = pytest.importorskip("torch")
    weight = normal(64, 24) ** 3
    config = HQQWeightOnlyQuantConfig(block_size=16, bits=bits, axis=1)
    integers, scale, zero = HQQWeightOnlyQuantizer(config).quantize_internal(
        torch.from_numpy(weight.T.copy()), bits=bits, group_size=16
    )
    theirs = (integers.reshape(24, 4, 16) - zero.reshape(24, 4, 1)) * scale.reshape(24, 4, 1)
    ours = restore_blocks(half_quadratic(weight, BlockFormat(bits, 16)), 64, bits)
    plain = restore_blocks(quantize_blocks(weight, BlockFormat(bits, 16)), 64, bits)
    errors = [np.abs(weight - w).mean() for w in (ours, theirs.reshape(24, 64).T.numpy(), plain)]
    assert errors[0] <= errors[1] * 1.001
    assert errors[0] < errors[2]


@pytest.mark.parametrize(
    ("rounding", "bits"), [("nearest", 4), ("nearest", 8), ("gptq", 4), ("gptq", 8), ("hqq", 4)]
)
def test_the_kernel_takes_every_rounding(network, normal, correlated, rounding, bits):
    model = network(LAYER, {"w": normal(64, 24)})
    options = WeightOnlyOptions(rounding=rounding, bits=bits, block_size=16)
    result = quantize_weights(model, options, CalibrationData.from_arrays({"x": correlated(64)}))
    assert 0 < result.report.output_errors["y"] < (0.15 if bits == 4 else 0.01)
    [weight] = result.report.weights
    assert weight.rounding == rounding
    assert (weight.output_gain_db is not None) == (rounding == "gptq")
    x = correlated(8, seed=9)
    exact = output(model, x=x)
    assert np.abs(output(result.model, x=x) - exact).max() < 0.15 * np.abs(exact).max()


def test_layers_that_do_not_fit_the_cap_together_are_seen_in_turn(network, normal, correlated):
    text = "g (float[N,64] x) => (float[N,24] y) { h = MatMul(x, v)  r = Relu(h)  y = MatMul(r, w) }"
    model = network(text, {"v": normal(64, 64), "w": normal(64, 24, seed=1)})
    data = CalibrationData.from_arrays({"x": correlated(64)})
    reports = [
        quantize_weights(model, WeightOnlyOptions(rounding="gptq", memory_bytes=m), data).report
        for m in (1 << 30, 80_000)
    ]
    assert reports[0].weights == reports[1].weights
    with pytest.raises(LimitError, match="the cap is"):
        quantize_weights(model, WeightOnlyOptions(rounding="gptq", memory_bytes=1000), data)


LOOP = """g (float[N,64] x) => (float[N,64] y) {
    n = Constant <value = int64 {2}> ()  t = Constant <value = bool {1}> ()
    y = Loop (n, t, x) <body = b (int64 i, bool c, float[N,64] s) => (bool d, float[N,64] u) {
        d = Identity(c)  m = MatMul(s, w)  u = Tanh(m) }>
}"""


@pytest.mark.parametrize("rounding", ["nearest", "gptq"])
def test_graphs_inside_are_entered(network, normal, correlated, rounding):
    data = CalibrationData.from_arrays({"x": correlated(4)})
    options = WeightOnlyOptions(bits=8, rounding=rounding)
    report = quantize_weights(network(LOOP, {"w": normal(64, 64)}), options, data).report
    assert 0 < report.output_errors["y"] < 0.02
    assert [w.rounding for w in report.weights] == ["nearest"]
    assert [s.code for s in report.skipped] == (["inner-graph"] if rounding == "gptq" else [])


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("width", [64, 40])
def test_embedding_tables(network, normal, bits, symmetric, width):
    text = f"g (int64[N,5] i) => (float[N,5,{width}] y) {{ y = Gather(e, i) }}"
    model = network(text, {"e": normal(100, width)})
    result = quantize_weights(model, WeightOnlyOptions(bits=bits, symmetric=symmetric))
    assert [n.op_type for n in result.model.graph] == ["GatherBlockQuantized"]
    ids = np.random.default_rng(0).integers(0, 100, (3, 5))
    step = 2 * np.abs(normal(100, width)).max() / (2**bits - 2)
    assert np.abs(output(result.model, i=ids) - output(model, i=ids)).max() <= step
    assert result.report.after.size_bytes < result.report.before.size_bytes * (0.3 if bits == 4 else 0.5)


@pytest.mark.parametrize(
    ("call", "shape", "options", "code"),
    [
        ("Gather <axis = 1> (e, i)", (8, 100), {}, "axis"),
        ("Gather (e, i)", (100, 8), {}, "narrow"),
        ("Gather (e, i)", (100, 64), {"embeddings": False}, "not-asked"),
        ("Gather (e, i)", (100, 64), {"exclude": ("Gather*",)}, "excluded"),
    ],
)
def test_tables_that_stay_say_why(network, normal, call, shape, options, code):
    text = f"g (int64[N] i, float[N,32] x) => (float[A,B] y, float[N,4] z) {{ y = {call}  z = MatMul(x, w) }}"
    model = network(text, {"e": normal(*shape), "w": normal(32, 4)})
    report = quantize_weights(model, WeightOnlyOptions(**options)).report
    assert [s.code for s in report.skipped] == [code]


def test_half_precision_is_taken(network, normal):
    model = network(LAYER.replace("float[", "float16["), {"w": normal(64, 24).astype(np.float16)})
    assert quantize_weights(model).report.weights[0].sqnr_db > 15


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rounding": "gptq"}, "needs samples"),
        ({"rounding": "hqq", "symmetric": True}, "symmetric"),
        ({"rounding": "hqq", "bits": 8}, "with 4 only"),
        ({"rounding": "best"}, "unknown rounding"),
    ],
)
def test_contradictions(network, normal, options, match):
    with pytest.raises(UsageError, match=match):
        quantize_weights(network(LAYER, {"w": normal(64, 24)}), WeightOnlyOptions(**options))


def test_nothing_left_is_refused(network, normal):
    with pytest.raises(InputError, match="no matrix product"):
        quantize_weights(network(LAYER, {"w": normal(64, 24)}), WeightOnlyOptions(exclude=("*",)))
