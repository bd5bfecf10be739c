"""A graph that is taught: its values are the layers that are compared with a teacher's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
import torch
from nets import Net
from sardonyx.core.errors import UsageError
from sardonyx.training import DistillOptions, distill, propose_pairs
from sardonyx.training.graph import TrainableGraph
from sardonyx.training.graph.values import layer_values
from sardonyx.training.layers import layer_shapes, with_layers

QUICK = DistillOptions(
    epochs=4,
    batch_size=32,
    learning_rate=0.05,
    validation_ratio=0.2,
    precision="fp32",
    pairs="auto",
    feature_weight=1.0,
)
IMAGES = (torch.from_numpy(np.random.default_rng(1).standard_normal((2, 1, 6, 6)).astype("f4")),)


def small() -> ir.Model:
    """A convolution of 4 channels (v0), a ReLU (v1), and a linear layer behind a Flatten."""
    n = Net(("N", 1, 6, 6))
    relu = n.op("Relu", n.conv(n.x, 4))
    return n.model(n.op("MatMul", n.op("Flatten", relu), n.rand(144, 3)))


@pytest.mark.parametrize(("pairs", "found"), [("v1:2", "v1:2"), ("auto", "v1:3")])
def test_a_graph_learns_from_layers(teacher, images, other_images, tmp_path, pairs, found) -> None:
    student = TrainableGraph(small())
    options = replace(QUICK, pairs=pairs)
    report = distill(student, teacher, images, other_images, options, checkpoint=tmp_path / "s.safetensors")
    assert report.pairs == (found,)
    assert report.history[-1].losses["features"] < 0.8 * report.history[0].losses["features"]
    assert report.evaluation_score > 0.8
    after = TrainableGraph(student.write_back()).eval()
    torch.testing.assert_close(after(*IMAGES), student.eval()(*IMAGES))
    assert not torch.allclose(after(*IMAGES), TrainableGraph(small())(*IMAGES), atol=0.1)


def test_its_layers_are_its_values() -> None:
    graph = TrainableGraph(small())
    assert graph.layer_names() == ("v0", "v1", "v2", "v3")
    assert layer_shapes(graph, IMAGES)["v1"] == (2, 4, 6, 6)
    outputs, values = with_layers(graph, IMAGES, ["v1", "v3"])
    assert torch.equal(values["v3"], outputs)
    assert torch.equal(values["v1"], graph.run(IMAGES, ["v0"])["v0"].relu())
    assert values["v1"].requires_grad


def test_what_is_made_of_weights_alone_is_no_layer() -> None:
    """v0 and v1 are weights; v2 reads the input, v3 only in its bodies, v4 is a sequence, v5 whole numbers."""
    n = Net(("N", 1, 6, 6))
    scale, kernel = n.floats(0.1), n.const(np.ones((4, 1, 3, 3), np.int8))
    weight = n.op("DequantizeLinear", kernel, scale)
    bias = n.op("Constant", value=ir.tensor(np.ones(4, np.float32)))
    convolved = n.op("Conv", n.x, weight, bias)
    bodies = []
    for kind in ("Relu", "Neg"):
        inner = ir.node(kind, [convolved])
        inner.outputs[0].name, inner.outputs[0].type = kind, ir.TensorType(ir.DataType.FLOAT)
        bodies.append(ir.Graph([], inner.outputs, nodes=[inner], name=kind))
    chosen = n.op("If", n.const(np.array(True)), then_branch=bodies[0], else_branch=bodies[1])
    n.op("SequenceConstruct", chosen, chosen)
    n.op("Cast", chosen, to=6)
    assert layer_values(n.model(chosen).graph) == ("v2", "v3")


def test_what_is_no_layer_is_refused() -> None:
    graph = TrainableGraph(small())
    with pytest.raises(UsageError, match=r"no layer 'v9' \(name one such as v"):
        with_layers(graph, IMAGES, ["v9"])
    with pytest.raises(UsageError, match="takes 1 inputs, 0 were given"):
        with_layers(graph, (), ["v1"])
    with pytest.raises(UsageError, match="no layers of student and teacher"):
        propose_pairs(graph, torch.nn.Sequential(torch.nn.Conv2d(1, 2, 5)), IMAGES)
