"""Pruning a model whose layers are functions of its own: they are inlined before anything is analysed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import sardonyx as sx

TEXT = """<ir_version: 9, opset_import: ["" : 18, "local" : 1]>
g (float[N,5] x) => (float[N,3] y) { h = local.layer(x, w) i = local.gated(h) y = MatMul(i, u) }
<domain: "local", opset_import: ["" : 18, "local" : 1]>
layer (a, weight) => (b) { c = MatMul(a, weight) b = Relu(c) }
<domain: "local", opset_import: ["" : 18, "local" : 1]>
gated (a) => (b) {
    s = ReduceSum<keepdims = 0>(a) z = Constant<value_float = 2.0>() c = Greater(s, z)
    b = If(c) <then_branch = t () => (p) { p = Tanh(a) }, else_branch = e () => (p) { p = Neg(a) }>
}"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A model of two functions, one of them with branches."""
    random = np.random.default_rng(0)
    proto = onnx.parser.parse_model(TEXT)
    for name, shape in (("w", (5, 16)), ("u", (16, 3))):
        array = random.standard_normal(shape).astype("f4")
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(proto, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def samples() -> sx.CalibrationData:
    return sx.CalibrationData.from_arrays(
        {"x": np.random.default_rng(1).standard_normal((64, 5)).astype("f4")}
    )


def test_functions_are_inlined_and_their_neurons_cut(path: Path, samples: sx.CalibrationData) -> None:
    pruned = sx.prune(path, samples, ratio=0.5, align=1)
    assert {(g.width_before, g.width_after) for g in pruned.report.plan} == {(16, 8)}
    assert pruned.report.proof.largest_difference <= pruned.report.proof.tolerance
    assert not pruned.model.load().functions


def test_a_function_that_calls_itself_is_refused(path: Path, samples: sx.CalibrationData) -> None:
    proto = onnx.load(path)
    proto.functions[0].node[1].CopyFrom(
        onnx.helper.make_node("layer", ["c", "weight"], ["b"], domain="local")
    )
    onnx.save(proto, path)
    with pytest.raises(sx.ModelError, match="call themselves"):
        sx.prune(path, samples, ratio=0.5, align=1)
