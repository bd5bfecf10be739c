"""Vectors stored once are given back to each layer; matrices stay tied."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from nets import Net
from sardonyx.passes.coupling import analyze
from sardonyx.passes.sharing import separate_vectors


def shared(n: Net) -> ir.Model:
    bias, weight = n.const(np.zeros(8, "f4"), "bias"), n.rand(8, 8, 3, 3, name="weight")
    x = n.relu(n.conv(n.x, 8))
    for _ in range(2):
        x = n.op("Relu", n.op("Conv", x, weight, n.op("Identity", bias), pads=[1] * 4))
        n.widths[x.name] = 8
    return n.model(n.head(x))


def test_a_bias_of_its_own_for_each_layer_and_one_matrix_for_both() -> None:
    model = shared(Net())
    assert separate_vectors(model) == 1
    convs = [node for node in model.graph if node.op_type == "Conv"][1:]
    assert convs[0].inputs[1] is convs[1].inputs[1]
    assert convs[0].inputs[2] is not convs[1].inputs[2]
    assert separate_vectors(model) == 0


def test_layers_that_share_no_matrix_are_no_longer_coupled() -> None:
    n = Net()
    bias = n.const(np.zeros(8, "f4"), "bias")
    x = n.x
    for _ in range(2):
        x = n.op("Relu", n.op("Conv", x, n.rand(8, n.widths[x.name], 3, 3), bias, pads=[1] * 4))
        n.widths[x.name] = 8
    model = n.model(n.head(x))
    assert [g.size for g in analyze(model).groups] == [8]
    separate_vectors(model)
    assert [g.size for g in analyze(model).groups] == [8, 8]
