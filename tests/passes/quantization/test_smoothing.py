"""Smoothing: the same outputs, no outlier channel left, and a reason where nothing can be moved."""

import numpy as np
import onnx_ir as ir
import pytest
from nets import Net
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.core.errors import DataError, UsageError
from sardonyx.passes.quantization.smoothing import normalized_values, smooth

RUNNER = OrtRunner(threads=1)
WIDTH = 8


def outlier(n):
    """A scale of a normalization that makes one channel fifty times as large as the others."""
    scale = np.ones(WIDTH)
    scale[3] = 50.0
    return n.floats(scale)


def normalized(n, kind):
    if kind == "LayerNormalization":
        return n.op("LayerNormalization", n.x, outlier(n), n.rand(WIDTH))
    if kind == "without bias":
        return n.op("LayerNormalization", n.x, outlier(n))
    mean = n.mean(n.op("Mul", n.x, n.x), -1)
    scaled = n.op("Mul", n.op("Div", n.x, n.op("Sqrt", mean)), outlier(n))
    return n.op("Add", scaled, n.rand(WIDTH)) if kind == "decomposed" else scaled


def network(kind, readers="two"):
    n = Net(("N", 5, WIDTH))
    a = normalized(n, kind)
    if readers == "residual":
        return n.model(n.op("Add", n.op("MatMul", a, n.rand(WIDTH, WIDTH)), a))
    if readers == "shared":
        weight = n.rand(WIDTH, 6)
        return n.model(n.op("Add", n.op("MatMul", a, weight), n.op("MatMul", a, weight)))
    moved = n.op("Reshape", a, n.ints(-1, WIDTH))
    return n.model(n.op("MatMul", a, n.rand(WIDTH, 6)), n.op("Gemm", moved, n.rand(4, WIDTH), transB=1))


def run(model, names):
    x = np.random.default_rng(1).standard_normal((3, 5, WIDTH)).astype(np.float32)
    return next(iter(RUNNER.run(model, [{"x": x}], names)))


def largest(model):
    names = normalized_values(model)
    values = run(model, names) if names else {}
    return {n: np.abs(v).reshape(-1, WIDTH).max(0) for n, v in values.items()}


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("kind", ["LayerNormalization", "without bias", "decomposed", "root mean square"])
def test_outputs_stay_and_the_outlier_goes(kind, strength):
    model = network(kind)
    names = [v.name for v in model.graph.outputs]
    before = run(model, names)
    report = smooth(model, largest(model), strength)
    for name, array in run(model, names).items():
        np.testing.assert_allclose(array, before[name], atol=1e-5 * np.abs(before[name]).max())
    (value,) = report.values
    assert len(value.readers) == 2
    assert value.spread_before > 5
    if strength:
        assert value.spread_after < (1.01 if strength == 1.0 else 0.6 * value.spread_before)
        (after,) = largest(model).values()
        assert after.max() / after.mean() == pytest.approx(value.spread_after, rel=1e-4)


def test_the_factors_are_those_of_the_paper():
    n = Net(("N", 5, WIDTH))
    weight = n.rand(WIDTH, 6)
    model = n.model(n.op("MatMul", n.op("LayerNormalization", n.x, outlier(n)), weight))
    amax = np.arange(1.0, WIDTH + 1)
    before = weight.const_value.numpy()
    smooth(model, {normalized_values(model)[0]: amax}, 0.7)
    factors = amax**0.7 / np.abs(before).max(1) ** 0.3
    after = model.graph.initializers[weight.name].const_value.numpy()
    np.testing.assert_allclose(after, before * factors[:, None], rtol=1e-5)


@pytest.mark.parametrize(("readers", "code"), [("residual", "other-readers"), ("shared", "shared-weight")])
def test_what_cannot_take_the_factors_has_a_reason(readers, code):
    model = network("LayerNormalization", readers)
    report = smooth(model, largest(model))
    assert not report.values
    assert [s.code for s in report.skipped] == [code]


def test_a_value_without_a_range_has_a_reason():
    assert [s.code for s in smooth(network("decomposed"), {}).skipped] == ["no-range"]


def test_dead_channels_and_zeros_stay():
    model = network("LayerNormalization")
    weight = next(v for v in model.graph.initializers.values() if v.const_value.shape == (WIDTH, 6))
    array = weight.const_value.numpy().copy()
    array[2], array[4, 1] = 0.0, 0.0
    weight.const_value = ir.tensor(array, name=weight.name)
    amax = largest(model)
    next(iter(amax.values()))[5] = 0.0
    smooth(model, amax)
    after = weight.const_value.numpy()
    np.testing.assert_array_equal(after == 0.0, array == 0.0)
    np.testing.assert_array_equal(after[5], array[5])


@pytest.mark.parametrize("strength", [-0.1, 1.1])
def test_a_strength_beyond_its_range_is_refused(strength):
    with pytest.raises(UsageError, match="strength"):
        smooth(network("decomposed"), {}, strength)


@pytest.mark.parametrize("amax", [np.ones(WIDTH + 1), np.full(WIDTH, np.nan)])
def test_ranges_that_do_not_fit_are_refused(amax):
    model = network("LayerNormalization")
    with pytest.raises(DataError, match="finite numbers are expected"):
        smooth(model, {normalized_values(model)[0]: amax})
