"""What layers read: means and second moments against plain numpy, within the memory cap, repeatable by seed."""

import numpy as np
import pytest
from nets import Net
from sardonyx.calib_data.data import CalibrationData
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.core.errors import DataError
from sardonyx.passes.quantization import layer_inputs as module
from sardonyx.passes.quantization.layer_inputs import has_rows, layer_inputs
from sardonyx.passes.quantization.parameters import activation_parameters

RUNNER = OrtRunner(threads=1)
COARSE = activation_parameters(-1.0, 2.0, "uint8", symmetric=False)
WORDS = {"with_gram": True, "memory_bytes": 1 << 30}


def samples(*shape, count=20):
    x = np.random.default_rng(5).standard_normal((count, *shape)).astype(np.float32)
    return CalibrationData.from_arrays({"x": x}), x


def visit(model, data, runner=RUNNER, **words):
    nodes = [n for n in model.graph if n.op_type in {"Conv", "Gemm", "MatMul"} and has_rows(n)]
    parameters = {n.inputs[0]: COARSE for n in nodes}
    return list(layer_inputs(model, nodes, parameters, data, runner, **(WORDS | words)))


def restored(x):
    return (np.clip(np.rint(x / COARSE.scale) + COARSE.zero_point, 0, 255) - COARSE.zero_point) * COARSE.scale


@pytest.mark.parametrize("kind", ["MatMul", "Gemm", "transposed Gemm"])
def test_rows_of_products(kind):
    shape = ("N", 5, 7) if kind == "MatMul" else ("N", 7)
    n = Net(shape)
    flipped = kind == "transposed Gemm"
    y = (
        n.op("MatMul", n.x, n.rand(7, 4))
        if kind == "MatMul"
        else n.op("Gemm", n.x, n.rand(4, 7) if flipped else n.rand(7, 4), transB=int(flipped))
    )
    data, x = samples(*shape[1:])
    ((_, found),) = visit(n.model(y), data)
    rows = x.reshape(-1, 7).astype(np.float64)
    kept = restored(rows)
    assert found.rows == len(rows)
    np.testing.assert_allclose(found.mean[0], rows.mean(0), atol=1e-6)
    np.testing.assert_allclose(found.mean_restored[0], kept.mean(0), atol=1e-6)
    np.testing.assert_allclose(found.gram[0], kept.T @ kept / len(rows), atol=1e-5)
    np.testing.assert_allclose(found.power[0], np.diag(found.gram[0]), atol=1e-5)
    np.testing.assert_allclose(found.centred()[0], np.cov(kept.T, bias=True), atol=1e-5)


@pytest.mark.parametrize(
    ("group", "words"),
    [
        (1, {"pads": [1, 1, 1, 1]}),
        (2, {"strides": [2, 1], "auto_pad": "SAME_UPPER"}),
        (6, {"dilations": [2, 2]}),
    ],
)
def test_the_mean_of_patches_gives_the_mean_output(group, words):
    n = Net(("N", 6, 9, 8))
    weight = n.rand(12, 6 // group, 3, 3)
    model = n.model(n.op("Conv", n.x, weight, group=group, **words))
    data, x = samples(6, 9, 8)
    ((node, found),) = visit(model, data)
    output = next(iter(RUNNER.run(model, [{"x": x}], [node.outputs[0].name])))[node.outputs[0].name]
    matrix = weight.const_value.numpy().reshape(group, 12 // group, -1)
    means = np.einsum("goi,gi->go", matrix, found.mean).ravel()
    np.testing.assert_allclose(means, output.mean((0, 2, 3)), atol=1e-5)


def test_many_positions_are_thinned_by_the_seed(monkeypatch):
    monkeypatch.setattr(module, "FEWEST_ROWS", 100)
    n = Net(("N", 4, 16, 16))
    model = n.model(n.op("Conv", n.x, n.rand(5, 4, 1, 1)))
    data, _ = samples(4, 16, 16, count=40)
    one, same, other = (visit(model, data, seed=s)[0][1] for s in (0, 0, 1))
    assert one.rows == 100
    np.testing.assert_array_equal(one.gram, same.gram)
    assert not np.array_equal(one.gram, other.gram)


class Counting:
    """A runner that counts how often the samples are run."""

    def __init__(self):
        self.names = []

    def run(self, model, feeds, outputs, *, optimize=False):
        self.names += [list(outputs)] if optimize else []
        return RUNNER.run(model, feeds, outputs, optimize=optimize)


def three_layers():
    n = Net(("N", 8))
    a = n.op("Relu", n.op("Gemm", n.x, n.rand(8, 64)))
    return n.model(n.op("Gemm", a, n.rand(64, 5)), n.op("Gemm", a, n.rand(64, 6)))


@pytest.mark.parametrize(("grams", "runs"), [(1000, 1), (7, 1), (4, 1)])
def test_layers_that_read_the_same_share_their_moments(grams, runs):
    runner = Counting()
    memory = grams * 8 * 64 * 64
    found = [moments for _, moments in visit(three_layers(), samples(8)[0], runner, memory_bytes=memory)]
    assert len(runner.names) == runs
    np.testing.assert_array_equal(found[1].mean, found[2].mean)
    assert (found[1].gram is None) == (grams < 6)
    assert found[0].gram is not None


def test_stretches_keep_to_the_cap():
    n = Net(("N", 32))
    x = n.x
    for _ in range(4):
        x = n.op("Relu", n.op("Gemm", x, n.rand(32, 32)))
    runner = Counting()
    model, data = n.model(x), samples(32)[0]
    found = visit(model, data, runner, memory_bytes=8 * 32 * 32 * 8)
    assert [len(names) for names in runner.names] == [2, 2]
    for (_, part), (_, whole) in zip(found, visit(model, data), strict=True):
        np.testing.assert_allclose(part.gram, whole.gram, rtol=1e-5, atol=1e-9)


def test_a_value_that_is_not_finite_is_refused():
    n = Net(("N", 4))
    model = n.model(n.op("Gemm", n.op("Log", n.x), n.rand(4, 4)))
    with pytest.raises(DataError, match="v0"):
        visit(model, samples(4)[0])
