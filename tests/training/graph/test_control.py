"""Bodies and functions: values of outer graphs, weights within, gradients through them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from nets import Net
from sardonyx.calib_data import OrtRunner
from sardonyx.core.errors import ModelError
from sardonyx.core.serialize import model_bytes
from sardonyx.training.graph import TrainableGraph

OPSETS = {"": 18}


def node(
    kind: str, inputs: list[ir.Value | None], name: str, attributes: object = None, outputs: int = 1
) -> ir.Node:
    made = ir.node(kind, inputs, attributes or {}, num_outputs=outputs, name=name)
    for index, value in enumerate(made.outputs):
        value.name, value.dtype = f"{name}_{index}", ir.DataType.FLOAT
    return made


def floats(name: str, *shape: int) -> ir.Value:
    values = np.random.default_rng(len(name)).standard_normal(shape).astype("f4")
    return ir.val(name, const_value=ir.tensor(values, name=name))


def whole(x: list[ir.Value], nodes: list[ir.Node], weights: list[ir.Value]) -> ir.Model:
    graph = ir.Graph(
        x, list(nodes[-1].outputs), nodes=nodes, initializers=weights, opset_imports=OPSETS, name="g"
    )
    return ir.Model(graph, ir_version=9)


def chosen() -> tuple[ir.Model, dict[str, np.ndarray]]:
    """An If whose branches have a weight each, and read one of the outer graph."""
    x, choice = ir.val("x", ir.DataType.FLOAT, ["N", 2]), ir.val("choice", ir.DataType.BOOL, [])
    outer = floats("outer", 2)
    bodies = {}
    for branch in ("then_branch", "else_branch"):
        weight = floats(f"w_{branch}", 2, 2)
        product = node("MatMul", [x, weight], f"m_{branch}")
        total = node("Add", [product.outputs[0], outer], f"a_{branch}")
        bodies[branch] = ir.Graph(
            [],
            total.outputs,
            nodes=[product, total],
            initializers=[weight],
            opset_imports=OPSETS,
            name=branch,
        )
    model = whole([x, choice], [node("If", [choice], "if", bodies)], [outer])
    return model, {"x": np.ones((3, 2), "f4"), "choice": np.array(False)}


def looped() -> tuple[ir.Model, dict[str, np.ndarray]]:
    """A Loop that multiplies its state with an outer weight, and gives each state."""
    x, weight = ir.val("x", ir.DataType.FLOAT, [2, 2]), floats("weight", 2, 2)
    count = ir.val("count", const_value=ir.tensor(np.array(3), name="count"))
    step, going = ir.val("step", ir.DataType.INT64, []), ir.val("going", ir.DataType.BOOL, [])
    state = ir.val("state", ir.DataType.FLOAT, [2, 2])
    product, again, copy = (
        node("MatMul", [state, weight], "product"),
        node("Identity", [going], "again"),
        node("Tanh", [state], "seen"),
    )
    again.outputs[0].dtype = ir.DataType.BOOL
    outputs = [again.outputs[0], product.outputs[0], copy.outputs[0]]
    body = ir.Graph(
        [step, going, state], outputs, nodes=[product, again, copy], opset_imports=OPSETS, name="body"
    )
    loop = node("Loop", [count, None, x], "loop", {"body": body}, outputs=2)
    return whole([x], [loop], [weight, count]), {"x": np.eye(2, dtype="f4")}


def scanned() -> tuple[ir.Model, dict[str, np.ndarray]]:
    """A Scan from the end that sums rows, each times an outer weight."""
    x, first, weight = ir.val("x", ir.DataType.FLOAT, [4, 2]), floats("first", 2), floats("weight", 2)
    state, row = ir.val("state", ir.DataType.FLOAT, [2]), ir.val("row", ir.DataType.FLOAT, [2])
    scaled = node("Mul", [row, weight], "scaled")
    total = node("Add", [state, scaled.outputs[0]], "total")
    seen = node("Relu", [total.outputs[0]], "seen")
    body = ir.Graph(
        [state, row],
        [total.outputs[0], seen.outputs[0]],
        nodes=[scaled, total, seen],
        opset_imports=OPSETS,
        name="body",
    )
    attributes = {"body": body, "num_scan_inputs": 1, "scan_input_directions": [1]}
    return whole([x], [node("Scan", [first, x], "scan", attributes, outputs=2)], [first, weight]), {
        "x": np.arange(8, dtype="f4").reshape(4, 2)
    }


@pytest.mark.parametrize("make", [chosen, looped, scanned])
def test_bodies_compute_and_train(make) -> None:
    model, feed = make()
    graph = TrainableGraph(model)
    outputs = graph(*(torch.from_numpy(array) for array in feed.values()))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    names = [v.name for v in model.graph.outputs]
    (expected,) = OrtRunner(threads=1).run(model, [feed], names)
    for name, output in zip(names, outputs, strict=True):
        np.testing.assert_allclose(output.detach().numpy(), expected[name], rtol=1e-5)
    sum(output.sum() for output in outputs).backward()
    reached = {graph.initializer_names[n] for n, p in graph.named_parameters() if p.grad is not None}
    assert reached == set(graph.initializer_names.values()) - {"w_then_branch"}
    assert model_bytes(graph.write_back()) == model_bytes(model)


def test_a_weight_of_a_body_is_written_back_into_it() -> None:
    graph = TrainableGraph(chosen()[0])
    with torch.no_grad():
        for parameter in graph.parameters():
            parameter.fill_(5)
    written = next(iter(graph.write_back().graph)).attributes["else_branch"].as_graph()
    assert (written.initializers["w_else_branch"].const_value.numpy() == 5).all()


def with_function() -> ir.Model:
    """A function that multiplies by a constant of its own, called on a weight."""
    a = ir.val("a")
    constant = ir.node("Constant", [], {"value": ir.tensor(np.full((2, 2), 2, "f4"))}, name="constant")
    product = ir.node("MatMul", [a, constant.outputs[0]], name="inner")
    constant.outputs[0].name, product.outputs[0].name = "two", "b"
    body = ir.Graph([a], product.outputs, nodes=[constant, product], opset_imports=OPSETS)
    function = ir.Function("own", "twice", graph=body, attributes=[])
    n = Net(("N", 2))
    call = ir.node("twice", [n.rand(2, 2)], domain="own", name="call")
    call.outputs[0].name = "called"
    last = ir.node("MatMul", [n.x, call.outputs[0]], name="last")
    last.outputs[0].name = "y"
    graph = ir.Graph(
        [n.x],
        last.outputs,
        nodes=[call, last],
        initializers=n.weights,
        opset_imports={"": 18, "own": 1},
        name="g",
    )
    return ir.Model(graph, ir_version=9, functions=[function])


def test_functions_are_computed_and_stay() -> None:
    model = with_function()
    graph = TrainableGraph(model)
    weight = model.graph.initializers["w0"].const_value.numpy()
    expected = np.ones((1, 2), "f4") @ weight @ np.full((2, 2), 2, "f4")
    np.testing.assert_allclose(graph(torch.ones(1, 2)).detach().numpy(), expected, rtol=1e-5)
    assert list(graph.initializer_names.values()) == ["w0"]
    assert list(graph.write_back().functions) == list(model.functions)
    assert model_bytes(graph.write_back()) == model_bytes(model)


def test_a_statistic_that_others_read_cannot_move() -> None:
    n = Net(("N", 2))
    zeros, ones = n.floats(np.zeros(2)), n.floats(np.ones(2))
    model = n.model(n.op("BatchNormalization", n.x, ones, n.op("Identity", zeros), zeros, ones))
    assert list(TrainableGraph(model).parameters()) == []
    with pytest.raises(ModelError, match="read by several nodes"):
        TrainableGraph(model, train_statistics=True)
