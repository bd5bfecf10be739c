"""Running a graph: weights lent or copied, values inside, and refusals."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from nets import Net
from sardonyx.calib_data import OrtRunner
from sardonyx.core.errors import ModelError

X = {"x": np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype("f4")}


def network() -> ir.Model:
    n = Net()
    a = n.relu(n.conv(n.x, 8))
    return n.model(n.head(n.relu(n.add(a, n.conv(a, 8)))))


def test_it_says_what_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.__version__", "99.2.3")
    assert OrtRunner().identity == OrtRunner(threads=1).identity == "onnxruntime 99.2.3"


@pytest.mark.parametrize("optimize", [True, False])
def test_weights_that_are_lent_are_the_same_weights(monkeypatch: pytest.MonkeyPatch, optimize: bool) -> None:
    model = network()
    names = [v.name for node in model.graph for v in node.outputs]
    (copied,) = OrtRunner(threads=1).run(model, [X], names, optimize=optimize)
    monkeypatch.setattr("sardonyx.calib_data.runner._LARGE_ELEMENTS", 1)
    (lent,) = OrtRunner(threads=1).run(model, [X], names, optimize=optimize)
    for name in names:
        np.testing.assert_allclose(lent[name], copied[name], atol=1e-6)
    assert all(v.const_value.nbytes for v in model.graph.initializers.values())


def test_a_sum_behind_a_layer_does_not_swallow_its_output() -> None:
    model = network()
    conv = [node for node in model.graph if node.op_type == "Conv"][1]
    (found,) = OrtRunner(threads=1).run(model, [X], [conv.outputs[0].name], optimize=True)
    assert found[conv.outputs[0].name].shape == (4, 8, 8, 8)


def test_a_batch_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelError, match="fails on a batch"):
        next(OrtRunner().run(network(), [{"x": X["x"][:, :2]}], ["v0"]))
