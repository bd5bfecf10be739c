from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from sardonyx.core import ModelArtifact, ModelError

IF = """g (bool c, float[4] x) => (float[4] y) {
    %s = If(c) <then_branch = t () => (float[4] a) { a = Relu(%s) }, else_branch = e () => (float[4] b) { b = Abs(x) }>
    %s
}"""
REFUSED = {
    "cycle": ("g (float[4] x) => (float[4] y) { a = Add(x, b)  b = Relu(a)  y = Relu(b) }", "cycle"),
    "self-loop": ("g (float[4] x) => (float[4] y) { a = Add(x, a)  y = Relu(a) }", "cycle"),
    "not SSA": (
        "g (float[4] x) => (float[4] y) { y = Relu(x)  y = Sigmoid(x) }",
        "'y' of the graph is made twice",
    ),
    "remade input": (
        "g (float[4] x) => (float[4] y) { x = Relu(x)  y = Relu(x) }",
        "'x' of the graph is made twice",
    ),
    "dangling": ("g (float[4] x) => (float[4] y) { y = Add(x, zz) }", "'zz' is not produced"),
    "no output": ("g (float[4] x) => (float[4] y) { a = Relu(x) }", "'y' is not produced"),
    "double input": (
        "g (float[4] x, float[4] x) => (float[4] y) { y = Relu(x) }",
        "'x' of the graph is declared twice",
    ),
    "dangling in a subgraph": (IF % ("y", "q", ""), "'q' is not produced"),
    "cycle through a subgraph": (IF % ("y", "z", "z = Relu(y)"), "cycle"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(write, assert_refused, case):
    text, words = REFUSED[case]
    assert_refused(write(text), words, kind=ModelError)


def test_prints_the_cycle(write, assert_refused):
    path = write("g (float[4] x) => (float[4] y) { [n1] a = Add(x, b)  [n2] b = Relu(a)  [n3] y = Relu(b) }")
    cause = assert_refused(path, "cycle", kind=ModelError).cause
    assert "node 'n1' -> node 'n2' -> node 'n1'" in cause or "node 'n2' -> node 'n1' -> node 'n2'" in cause


def test_duplicate_initializer(write, model, assert_refused):
    made = model()
    made.graph.initializer.append(made.graph.initializer[0])
    assert_refused(write(made), "initializer 'w'", "twice", kind=ModelError)


def test_no_graph(write, assert_refused):
    assert_refused(write(onnx.ModelProto(ir_version=9)), "empty", kind=ModelError)


def test_training_info_is_not_dropped(write, model, assert_refused):
    made = model()
    made.training_info.add()
    assert_refused(write(made), "training_info", kind=ModelError)


def test_unsorted_nodes_are_sorted_and_noted(write):
    artifact = ModelArtifact.open(write("g (float[4] x) => (float[4] y) { y = Relu(a)  a = Neg(x) }"))
    assert [node.op_type for node in artifact.load().graph] == ["Neg", "Relu"]
    assert artifact.notes == ("the nodes of the graph were out of order and were sorted",)


def test_a_value_used_only_in_a_subgraph_orders_its_node(write):
    path = write(IF % ("y", "z", "z = Neg(x)"))
    content = ModelArtifact.open(path).content
    y = ReferenceEvaluator(onnx.ModelProto.FromString(content)).run(
        None, {"c": np.array(True), "x": -np.ones(4, np.float32)}
    )[0]
    assert np.array_equal(y, np.ones(4))


def test_names_are_made_different_and_noted(write):
    artifact = ModelArtifact.open(
        write("g (float[4] x) => (float[4] y) { [n] a = Relu(x)  [n_1] b = Relu(a)  [n] y = Relu(b) }")
    )
    assert [node.name for node in artifact.load().graph] == ["n", "n_1", "n_2"]
    assert artifact.notes == ("1 nodes shared a name with another and were renamed",)


@pytest.mark.parametrize("order", [pytest.param(1, marks=pytest.mark.slow), -1])
def test_a_chain_of_20_000_nodes(write, model, order):
    made = model("g (float[4] x) => (float[4] y) { y = Relu(x) }")
    names = ["x", *(f"t{i}" for i in range(19_999)), "y"]
    nodes = [onnx.helper.make_node("Relu", [a], [b]) for a, b in itertools.pairwise(names)]
    del made.graph.node[:]
    made.graph.node.extend(nodes[::order])
    graph = ModelArtifact.open(write(made)).load().graph
    assert [node.outputs[0].name for node in graph] == names[1:]


def test_thirty_nested_subgraphs(write, model):
    made = model("g (bool c, float[4] x) => (float[4] y) { y = Relu(x) }")
    leaf = branch = onnx.helper.make_graph(list(made.graph.node), "b", [], list(made.graph.output))
    for depth in range(30):
        output = onnx.helper.make_tensor_value_info(f"o{depth}", 1, [4])
        node = onnx.helper.make_node("If", ["c"], [output.name], then_branch=branch, else_branch=leaf)
        branch = onnx.helper.make_graph([node], "b", [], [output])
    made.graph.CopyFrom(
        onnx.helper.make_graph(list(branch.node), "g", list(made.graph.input), list(branch.output))
    )
    assert ModelArtifact.open(write(made)).outputs[0].name == "o29"
