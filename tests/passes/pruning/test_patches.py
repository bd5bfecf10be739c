"""Rows of features: a convolution is a matrix product of them, whatever it strides, pads or groups."""

from __future__ import annotations

import numpy as np
import pytest
from nets import Net
from sardonyx.calib_data import CalibrationData, OrtRunner
from sardonyx.core.errors import ModelError
from sardonyx.passes.pruning.linear_layers import linear_layers
from sardonyx.passes.pruning.positions import PickedRows

RUNNER = OrtRunner(threads=1)


def data(*shape: int) -> CalibrationData:
    return CalibrationData.from_arrays(
        {"x": np.random.default_rng(1).standard_normal((80, *shape)).astype("f4")}
    )


@pytest.mark.parametrize(
    ("channels", "group", "kernel", "words"),
    [
        (6, 1, (3, 3), {"pads": [1, 1, 1, 1]}),
        (6, 1, (3, 2), {"pads": [0, 1, 2, 0], "strides": [2, 1]}),
        (6, 2, (3, 3), {"dilations": [2, 1]}),
        (6, 6, (3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        (6, 3, (2, 4), {"auto_pad": "SAME_LOWER"}),
        (6, 1, (3, 3), {"auto_pad": "VALID"}),
    ],
)
def test_weights_times_features_are_the_outputs(channels, group, kernel, words):
    n = Net(("N", channels, 9, 8))
    y = n.op("Conv", n.x, n.rand(12, channels // group, *kernel), n.rand(12), group=group, **words)
    check(n.model(n.op("Relu", y)), data(channels, 9, 8))


@pytest.mark.parametrize("kind", ["Conv1d", "Gemm", "Gemm transposed", "MatMul", "MatMul with a bias behind"])
def test_layers_of_other_ranks(kind):
    n = Net(("N", 6, 7) if kind in {"Conv1d", "MatMul", "MatMul with a bias behind"} else ("N", 6))
    if kind == "Conv1d":
        y = n.op("Conv", n.x, n.rand(12, 6, 3), n.rand(12), pads=[1, 1])
    elif kind.startswith("Gemm"):
        flipped = kind != "Gemm"
        y = n.op("Gemm", n.x, n.rand(12, 6) if flipped else n.rand(6, 12), n.rand(12), transB=int(flipped))
    else:
        y = n.op("MatMul", n.x, n.rand(7, 12))
        y = n.op("Add", y, n.rand(12)) if "bias" in kind else y
    check(n.model(n.op("Relu", y)), data(*([6, 7] if len(n.x.shape) == 3 else [6])))


def check(model, samples):
    names = {v.name for node in model.graph for v in node.outputs}
    (layer,) = linear_layers(model, names)
    seen = 0
    for picked in PickedRows(0).of(model, layer, samples, RUNNER):
        product = np.einsum("rbf,bfo->rbo", picked.features, layer.matrix()).reshape(len(picked.made), -1)
        np.testing.assert_allclose(product + layer.bias_within(), picked.made, atol=1e-4)
        seen += len(picked.made)
    assert seen >= 80


def test_the_order_with_channels_last_is_an_order():
    n = Net(("N", 6, 9, 8))
    model = n.model(n.op("Relu", n.op("Conv", n.x, n.rand(4, 6, 3, 2))))
    (layer,) = linear_layers(model, {v.name for node in model.graph for v in node.outputs})
    assert sorted(layer.channels_last) == list(range(36))
    assert list(layer.channels_last[:6]) == [0, 6, 12, 18, 24, 30]
    assert layer.pattern_shape == (4, 6)


def test_a_value_that_is_not_there_is_refused():
    n = Net(("N", 6, 9, 8))
    model = n.model(n.op("Relu", n.op("Conv", n.x, n.rand(4, 6, 3, 2))))
    (layer,) = linear_layers(model, {v.name for node in model.graph for v in node.outputs})
    with pytest.raises(ModelError, match="nothing"):
        list(PickedRows(0).of(model, layer, data(6, 9, 8), RUNNER, ("nothing",)))
