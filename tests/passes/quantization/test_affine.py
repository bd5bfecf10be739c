"""Exact rearrangements before quantization."""

import numpy as np
import pytest
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.passes.quantization.affine import join_biases, postpone_normalizations

POOL = """g (float[N,4,8,8] x) => (float[N,4,4,4] y) {
    r = Relu(x)  n = BatchNormalization(r, g, b, m, v)
    p = MaxPool <kernel_shape = [2,2], strides = [2,2]> (n)  y = Relu(p)
}"""


def output(model, feed):
    return next(iter(OrtRunner().run(model, [feed], ["y"])))["y"]


@pytest.mark.parametrize(("sign", "moved"), [(1.0, 1), (-1.0, 0)])
def test_pooling_comes_first_where_order_is_kept(network, normal, sign, moved):
    weights = {k: np.abs(normal(4, seed=i)) for i, k in enumerate("gbmv")}
    weights["g"] *= sign
    model = network(POOL, weights)
    feed = {"x": normal(3, 4, 8, 8, scale=1.0)}
    before = output(model, feed)
    assert postpone_normalizations(model) == moved
    np.testing.assert_array_equal(output(model, feed), before)
    kinds = [n.op_type for n in model.graph]
    assert (kinds.index("MaxPool") < kinds.index("BatchNormalization")) == bool(moved)


@pytest.mark.parametrize("shape", [(6,), (1, 6)])
def test_a_bias_is_joined(network, normal, shape):
    text = "g (float[N,4] x) => (float[N,6] y) { m = MatMul(x, w)  y = Add(m, b) }"
    model = network(text, {"w": normal(4, 6), "b": normal(*shape)})
    feed = {"x": normal(3, 4)}
    before = output(model, feed)
    assert join_biases(model, {"x": (1, 4)}) == 1
    np.testing.assert_allclose(output(model, feed), before, rtol=1e-6, atol=1e-7)
    assert [n.op_type for n in model.graph] == ["Gemm"]


@pytest.mark.parametrize(("shape", "rank"), [((6,), 3), ((1,), 2), ((3, 6), 2)])
def test_what_is_no_row_stays(network, normal, shape, rank):
    text = "g (float[N,4] x) => (float[N,6] y) { m = MatMul(x, w)  y = Add(m, b) }"
    model = network(text, {"w": normal(4, 6), "b": normal(*shape)})
    assert join_biases(model, {"x": (1,) * (rank - 1) + (4,)}) == 0
