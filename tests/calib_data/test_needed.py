"""Reducing a graph to what some outputs need."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from sardonyx.calib_data import OrtRunner
from sardonyx.calib_data.runner import keep_needed
from sardonyx.core.errors import ModelError


def model() -> onnx.ModelProto:
    """Two chains, one of which has an If that reads a value and a weight of the graph around it."""
    branch = [
        helper.make_graph(
            [helper.make_node(kind, ["a", "w"], [f"{kind}_out"])], kind, [], [info(f"{kind}_out")]
        )
        for kind in ("Add", "Mul")
    ]
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("If", ["choice"], ["b"], then_branch=branch[0], else_branch=branch[1]),
        helper.make_node("Mul", ["x", "v"], ["c"]),
        helper.make_node("Neg", ["c"], ["d"]),
    ]
    weights = [
        numpy_helper.from_array(np.full((3,), n, np.float32), name) for name, n in (("w", 2), ("v", 3))
    ]
    weights.append(numpy_helper.from_array(np.array(True), "choice"))
    graph = helper.make_graph(nodes, "g", [info("x")], [info("b"), info("d")], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def info(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3])


@pytest.mark.parametrize(
    ("wanted", "nodes", "weights"),
    [
        (["b"], ["Relu", "If"], {"w", "choice"}),
        (["d"], ["Mul", "Neg"], {"v"}),
        (["c"], ["Mul"], {"v"}),
        (["b", "d"], ["Relu", "If", "Mul", "Neg"], {"w", "v", "choice"}),
    ],
)
def test_what_is_needed_stays(wanted: list[str], nodes: list[str], weights: set[str]) -> None:
    graph = model().graph
    keep_needed(graph, wanted)
    assert [node.op_type for node in graph.node] == nodes
    assert {tensor.name for tensor in graph.initializer} == weights


@pytest.mark.parametrize("wanted", [["b"], ["d"], ["a", "c"], ["d", "b", "a"]])
def test_values_are_those_of_the_whole_graph(wanted: list[str]) -> None:
    graph = ir.from_proto(model())
    x = np.array([[-1, 0.5, 2]], np.float32)
    whole = {"a": np.maximum(x, 0), "b": np.maximum(x, 0) + 2, "c": 3 * x, "d": -3 * x}
    (found,) = OrtRunner(threads=1).run(graph, [{"x": x}], wanted)
    assert list(found) == wanted
    for name in wanted:
        np.testing.assert_allclose(found[name], whole[name])
    with pytest.raises(ModelError, match="not in the graph"):
        next(OrtRunner().run(graph, [{"x": x}], ["nowhere"]))
