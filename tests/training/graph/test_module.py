"""What becomes of each tensor of a graph: trained, held, statistics; names, types, copies, modes."""

from __future__ import annotations

import copy

import numpy as np
import onnx_ir as ir
import pytest
import torch
from nets import Net
from sardonyx.core.errors import ModelError, UsageError
from sardonyx.core.serialize import model_bytes
from sardonyx.training.graph import TrainableGraph, Weight


def with_normalization(ratio: float | None = None) -> ir.Model:
    """A convolution, a BatchNormalization, bounds of a Clip, a Reshape and a linear layer."""
    n = Net(("N", 3, 4, 4))
    x = n.conv(n.x, 4)
    vectors = [
        n.floats(np.full(4, value), name)
        for name, value in (("a.scale", 1), ("b", 0), ("mean", 0), ("var", 1))
    ]
    y = n.op("BatchNormalization", x, *vectors, momentum=0.5)
    if ratio is not None:
        y = n.op("Dropout", y, n.floats(ratio), n.const(np.array(True)))
    y = n.op("Reshape", n.op("Clip", y, n.floats(0.0), n.floats(6.0)), n.ints(0, 64))
    return n.model(n.op("MatMul", n.op("Mul", y, n.floats(0.5)), n.rand(64, 2)))


def batch(count: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).standard_normal((count, 3, 4, 4)).astype("f4"))


def test_weights_are_trained_and_settings_and_single_numbers_are_held() -> None:
    graph = TrainableGraph(with_normalization())
    trained = {graph.initializer_names[name] for name, _ in graph.named_parameters()}
    assert trained == {"w0", "w1", "a.scale", "b", "w10"}
    assert set(graph.state_dict()) == set(graph.initializer_names)
    assert graph.initializer_names["w_a_scale"] == "a.scale"


def test_single_numbers_and_masks_are_no_weights_unless_an_operator_says_so() -> None:
    n = Net(("N", 3, 4, 4))
    x = n.op("PRelu", n.conv(n.x, 1), n.floats([0.1], "slope"))
    mask = n.floats(np.where(np.eye(4), 0, -np.inf), "mask")
    graph = TrainableGraph(n.model(n.op("Softmax", n.op("Add", n.op("Mul", x, n.floats([2.0])), mask))))
    assert set(graph.initializer_names.values()) == {"w0", "w1", "slope"}


def test_weights_listed_as_inputs_are_not_fed() -> None:
    model = with_normalization()
    model.graph.inputs.extend(model.graph.initializers.values())
    graph = TrainableGraph(model)
    assert graph.input_names == ("x",)
    assert graph(batch()).shape == (3, 2)
    assert model_bytes(graph.write_back()) == model_bytes(model)


def test_nodes_out_of_order_are_refused() -> None:
    model = with_normalization()
    last = model.graph[-1]
    model.graph.remove(last)
    model.graph.insert_before(model.graph[0], last)
    with pytest.raises(ModelError, match="read before a node makes it"):
        TrainableGraph(model)


def test_what_is_trained_can_be_chosen() -> None:
    asked: list[Weight] = []

    def choose(weight: Weight) -> bool:
        asked.append(weight)
        return weight.tensor.size == 1

    graph = TrainableGraph(with_normalization(), is_trained=choose)
    assert [p.numel() for p in graph.parameters()] == [1]
    assert {"mean", "var"}.isdisjoint(weight.name for weight in asked)


@pytest.mark.parametrize(
    ("asked", "training", "moves"), [(False, True, False), (True, True, True), (True, False, False)]
)
def test_statistics_move_where_asked_and_are_written_back(asked: bool, training: bool, moves: bool) -> None:
    model = with_normalization()
    graph = TrainableGraph(model, train_statistics=asked).train(training)
    convolved = graph.run([batch()], ["v0"])["v0"].detach()
    graph(batch())
    expected = 0.5 * convolved.mean((0, 2, 3)) if moves else torch.zeros(4)
    written = graph.write_back().graph.initializers["mean"].const_value.numpy()
    np.testing.assert_allclose(written, expected, rtol=1e-5)
    assert (model_bytes(graph.write_back()) == model_bytes(model)) is not moves


def test_dropout_drops_in_training_where_asked() -> None:
    model = with_normalization(ratio=0.9)
    plain, dropping = TrainableGraph(model).train(), TrainableGraph(model, dropout=True).train()
    assert torch.equal(plain(batch()), plain.eval()(batch()))
    assert not torch.equal(dropping(batch()), plain(batch()))
    assert torch.equal(dropping.eval()(batch()), plain(batch()))


def test_a_copy_trains_by_itself() -> None:
    graph = TrainableGraph(with_normalization())
    other = copy.deepcopy(graph)
    with torch.no_grad():
        next(other.parameters()).zero_()
    assert not torch.equal(other(batch()), graph(batch()))
    assert model_bytes(graph.write_back()) != model_bytes(other.write_back())


def test_the_model_given_is_left_as_it_is() -> None:
    model = with_normalization()
    before = model_bytes(model)
    graph = TrainableGraph(model)
    with torch.no_grad():
        for parameter in graph.parameters():
            parameter.fill_(7)
    assert model_bytes(model) == before
    written = graph.write_back()
    with torch.no_grad():
        next(graph.parameters()).fill_(9)
    assert (written.graph.initializers["w0"].const_value.numpy() == 7).all()


@pytest.mark.parametrize("dtype", [ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE])
def test_types_stay(dtype: ir.DataType) -> None:
    n = Net(("N", 4), dtype=dtype, opset=22)
    model = n.model(n.op("MatMul", n.x, n.rand(4, 3)))
    graph = TrainableGraph(model)
    (weight,) = graph.parameters()
    (weight * weight).sum().backward()
    with torch.no_grad():
        weight -= 0.5 * weight.grad
    tensor = graph.write_back().graph.initializers["w0"].const_value
    assert tensor.dtype == dtype
    assert not tensor.numpy().any()


def constant_weight(**attribute: object) -> ir.Model:
    n = Net(("N", 2))
    made, other = n.op("Constant", **attribute), n.op("Constant", value=ir.tensor(np.ones((2, 2), "f4")))
    return n.model(
        n.op("Add", n.op("MatMul", n.x, n.op("Transpose", made)), n.op("MatMul", n.x, n.op("Exp", other)))
    )


def test_a_constant_node_that_is_read_as_a_weight_is_trained() -> None:
    graph = TrainableGraph(constant_weight(value=ir.tensor(np.ones((2, 2), "f4"))))
    assert list(graph.initializer_names.values()) == ["v0"]
    with torch.no_grad():
        next(graph.parameters()).fill_(3)
    node = next(node for node in graph.write_back().graph if node.op_type == "Constant")
    assert (node.attributes["value"].as_tensor().numpy() == 3).all()


@pytest.mark.parametrize("count", [0, 2])
def test_another_number_of_inputs_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match=f"takes 1 inputs, {count} were given"):
        TrainableGraph(with_normalization())(*[batch()] * count)


def test_inputs_of_another_shape_are_refused_by_node() -> None:
    with pytest.raises(ModelError, match=r"node 'n0' \(Conv\) cannot compute its inputs"):
        TrainableGraph(with_normalization())(torch.zeros(1, 2, 4, 4))


def test_an_operator_without_a_function_is_refused_in_a_body_too() -> None:
    n = Net(("N", 2))
    bodies = {}
    for branch, kind in (("then_branch", "Relu"), ("else_branch", "Wild")):
        node = ir.node(kind, [n.x], name=f"in_{branch}")
        node.outputs[0].name = f"y_{branch}"
        bodies[branch] = ir.Graph([], node.outputs, nodes=[node], name=branch, opset_imports={"": 18})
    choice = n.const(np.array(True))
    node = ir.node("If", [choice], bodies, name="if")
    node.outputs[0].name = "y"
    graph = ir.Graph(
        [n.x], node.outputs, nodes=[node], initializers=n.weights, opset_imports={"": 18}, name="g"
    )
    with pytest.raises(ModelError, match=r"node 'in_else_branch' \(Wild\) cannot be trained"):
        TrainableGraph(ir.Model(graph, ir_version=9))


def test_an_old_opset_is_refused() -> None:
    n = Net(("N", 2), opset=6)
    node = ir.node("Add", [n.x, n.rand(2)], name="add")
    node.outputs[0].name = "y"
    graph = ir.Graph(
        [n.x], node.outputs, nodes=[node], initializers=n.weights, opset_imports={"": 6}, name="g"
    )
    with pytest.raises(ModelError, match="version 6 of its operators is older than 7"):
        TrainableGraph(ir.Model(graph, ir_version=9))
