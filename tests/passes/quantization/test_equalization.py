"""Equalization: the same outputs, even channels, fewer rounding errors, and a reason for every pair that is none."""

import itertools

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from nets import Net
from random_nets import random_nets
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.passes.cleanup import CleanupPass
from sardonyx.passes.quantization.equalization import equalize

RUNNER = OrtRunner(threads=1)


def outputs(model, samples):
    names = [v.name for v in model.graph.outputs]
    return next(iter(RUNNER.run(model, [samples], names, optimize=False)))


def random_input(model, seed=3):
    (x,) = model.graph.inputs
    shape = [d if isinstance(d, int) else 2 for d in x.shape]
    return {x.name: np.random.default_rng(seed).standard_normal(shape).astype(np.float32)}


def assert_same(before, after, tolerance=1e-5):
    for name, exact in before.items():
        size = float(np.abs(exact).max(initial=1e-6))
        np.testing.assert_allclose(after[name] / size, exact / size, atol=tolerance)


def uneven(value):
    """Scale the channels of a layer from a thousandth to a thousand."""
    for weight in value.producer().inputs[1:]:
        array = weight.const_value.numpy()
        factors = np.logspace(-3, 3, len(array), dtype=np.float32)
        weight.const_value = ir.tensor(array * factors.reshape(-1, *[1] * (array.ndim - 1)), name=weight.name)
    return value


def chain(kind, *, group=1, classes=5):
    """Two convolutions and a Gemm with operators between that pass factors on."""
    n = Net(("N", 4, 8, 8))
    x = uneven(n.conv(n.x, 8))
    x = {
        "Relu": lambda: n.relu(x),
        "LeakyRelu": lambda: n.act("LeakyRelu", x, alpha=0.1),
        "PRelu": lambda: n.op("PRelu", x, n.rand(8, 1, 1)),
        "MaxPool": lambda: n.op("MaxPool", n.relu(x), kernel_shape=[2, 2], strides=[2, 2]),
        "AveragePool": lambda: n.op("AveragePool", x, kernel_shape=[3, 3]),
        "Clip": lambda: n.op("Clip", x, n.floats(0.0)),
    }[kind]()
    n.widths[x.name] = 8
    y = uneven(n.conv(x, 16, group=group))
    y = n.op("ReduceMean", n.relu(y), n.ints(2, 3), keepdims=0)
    return n.model(n.op("Gemm", y, n.rand(classes, 16), n.rand(classes), transB=1))


@pytest.mark.parametrize("group", [1, 4, 8])
@pytest.mark.parametrize("kind", ["Relu", "LeakyRelu", "PRelu", "MaxPool", "AveragePool", "Clip"])
def test_outputs_stay_and_channels_become_even(kind, group):
    model = chain(kind, group=group)
    samples = random_input(model)
    before = outputs(model, samples)
    report = equalize(model)
    assert_same(before, outputs(model, samples))
    layers = [node.name for node in model.graph if node.op_type in {"Conv", "Gemm"}]
    assert [(p.first, p.second) for p in report.pairs] == list(itertools.pairwise(layers))
    assert all(p.spread_after < 0.2 * p.spread_before for p in report.pairs)
    assert report.sweeps < 100


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(random_nets())
def test_random_networks_stay_what_they_are(model):
    CleanupPass()(model)
    samples = random_input(model)
    before = outputs(model, samples)
    equalize(model)
    assert_same(before, outputs(model, samples), 1e-4)  # normalizations enlarge what many layers round


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("kind", ["Flatten", "Reshape"])
def test_flattened_channels_keep_their_places(kind, size):
    n = Net(("N", 3, size, size))
    x = n.relu(uneven(n.conv(n.x, 6, k=1)))
    flat = n.op("Flatten", x) if kind == "Flatten" else n.op("Reshape", x, n.ints(-1, 6 * size * size))
    model = n.model(n.op("Gemm", flat, n.rand(6 * size * size, 5)))
    before = outputs(model, random_input(model))
    assert len(equalize(model).pairs) == 1
    assert_same(before, outputs(model, random_input(model)))


def test_a_bias_behind_a_product_is_scaled_too():
    n = Net(("N", 7, 6))
    a = n.op("Relu", n.op("Add", n.op("MatMul", n.x, n.rand(6, 8)), n.rand(8)))
    model = n.model(n.op("MatMul", a, n.rand(8, 3)))
    before = outputs(model, random_input(model))
    assert len(equalize(model).pairs) == 1
    assert_same(before, outputs(model, random_input(model)))


def test_zeros_and_dead_channels_stay_as_they_are():
    n = Net(("N", 3, 4, 4))
    x = n.conv(n.x, 6)
    weight = x.producer().inputs[1]
    array = weight.const_value.numpy().copy()
    array[2], array[:, 1] = 0.0, 0.0
    weight.const_value = ir.tensor(array, name=weight.name)
    model = n.model(n.conv(n.relu(x), 4))
    equalize(model)
    after = model.graph.initializers[weight.name].const_value.numpy()
    np.testing.assert_array_equal(after == 0.0, array == 0.0)
    assert np.isfinite(after).all()


def refused(kind):
    n = Net(("N", 3, 4, 4))
    x = n.conv(n.x, 6)
    if kind == "output":
        return n.model(x, n.conv(x, 4))
    y = n.clip(x, 0.0, 6.0) if kind == "Clip" else n.act("Sigmoid" if kind == "Sigmoid" else "Relu", x)
    n.widths[y.name] = 6
    z = n.conv(y, 6)
    return n.model(n.add(z, y) if kind == "two readers" else z)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("Clip", r"Clip 'n1' has limits that a factor would move (0, 6)"),
        ("Sigmoid", "Sigmoid 'n1' does not pass factors on"),
        ("two readers", "has 2 readers"),
        ("output", "has 2 readers"),
    ],
)
def test_a_pair_that_is_none_has_a_reason(kind, reason):
    report = equalize(refused(kind))
    assert not report.pairs
    assert reason in report.skipped[0].text


def test_weights_that_are_not_finite_are_left_alone():
    n = Net(("N", 3, 4, 4))
    x = n.op("Conv", n.x, n.floats(np.full((4, 3, 1, 1), np.nan)))
    n.widths[x.name] = 4
    report = equalize(n.model(n.conv(n.relu(x), 4)))
    assert [s.code for s in report.skipped] == ["not-finite", "no-pair"]
