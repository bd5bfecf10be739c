"""Times of nodes: every kernel's time lands on a node of the model."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx.core import ModelArtifact
from sardonyx.core.errors import ProviderError
from sardonyx.runtime import REST, time_nodes


def constant(name: str, *shape: int) -> ir.Value:
    array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return ir.Value(name=name, const_value=ir.tensor(array, name=name))


@pytest.fixture(scope="module")
def model() -> ModelArtifact:
    """Two convolutions around a sum, all of which ONNX Runtime fuses."""
    x = ir.val("x", ir.DataType.FLOAT, ["n", 16, 8, 8])
    weights = [constant("a", 16, 16, 3, 3), constant("b", 16, 16, 3, 3)]
    pads = {"pads": [1, 1, 1, 1]}
    first = ir.node("Conv", [x, weights[0]], pads, name="first")
    relu = ir.node("Relu", first.outputs, name="relu")
    second = ir.node("Conv", [relu.outputs[0], weights[1]], pads, name="second")
    add = ir.node("Add", [relu.outputs[0], second.outputs[0]], name="add")
    last = ir.node("Relu", add.outputs, name="last")
    last.outputs[0].name, last.outputs[0].dtype = "y", ir.DataType.FLOAT
    last.outputs[0].shape = ir.Shape(["n", 16, 8, 8])
    nodes = [first, relu, second, add, last]
    graph = ir.Graph([x], last.outputs, nodes=nodes, initializers=weights, opset_imports={"": 17}, name="g")
    return ModelArtifact.of(ir.Model(graph, ir_version=9))


def test_what_is_fused_counts_as_the_layer(model: ModelArtifact) -> None:
    times = time_nodes({"one": model, "two": model}, None, batch=2, threads=1, rounds=6)
    assert set(times) == {"one", "two"}
    for found in times.values():
        assert {"first", "second"} <= set(found)
        assert set(found) <= {"first", "second", "relu", "add", "last", REST}
        assert min(found.values()) > 0


def test_a_provider_that_is_not_there_is_refused(model: ModelArtifact) -> None:
    with pytest.raises(ProviderError):
        time_nodes({"one": model}, None, batch=1, provider="qnn")
