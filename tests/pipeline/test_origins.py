from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from sardonyx.core import ModelError
from sardonyx.pipeline.origins import Origin, find_origins
from sardonyx.training.graph import TrainableGraph
from torch import nn


def graph_of(**arrays) -> ir.Model:
    weights = [ir.Value(name=n, const_value=ir.tensor(a, name=n)) for n, a in arrays.items()]
    graph = ir.Graph([], [], nodes=[], initializers=weights, opset_imports={"": 17})
    return ir.Model(graph, ir_version=9)


def array(parameter):
    return parameter.detach().numpy().copy()


def test_names_and_transposed_contents_are_known():
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5))
    model = graph_of(**{"0.weight": array(module[0].weight), "val_1": array(module[1].weight).T})
    assert find_origins(model, module) == {
        "0.weight": Origin("0.weight", (0, 1)),
        "val_1": Origin("1.weight", (1, 0)),
    }


def test_a_name_over_another_shape_says_nothing():
    module = nn.Linear(3, 4)
    assert find_origins(graph_of(weight=np.zeros((2, 4), np.float32)), module) == {}


def test_contents_that_two_parameters_have_say_nothing():
    module = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(3, 4, bias=False))
    module[1].load_state_dict(module[0].state_dict())
    assert find_origins(graph_of(val_1=array(module[0].weight).T), module) == {}


def test_a_trainable_graph_is_found_inside_a_module(model):
    wrapped = nn.ModuleDict({"inner": TrainableGraph(model.load())})
    assert find_origins(model.load(), wrapped)["head.bias"] == Origin("inner.w_head_bias", (0,))


def test_a_graph_that_cannot_be_trained_is_refused_before():
    model = graph_of(weight=np.zeros((2, 4), np.float32))
    model.graph.append(ir.node("NoSuchOperator", [model.graph.initializers["weight"]]))
    with pytest.raises(ModelError, match="NoSuchOperator"):
        find_origins(model, TrainableGraph(model))


def test_bfloat16_parameters_are_compared_too():
    module = nn.Linear(3, 4, bias=False).to(torch.bfloat16)
    model = graph_of(val_1=module.weight.detach().float().numpy().T.copy())
    assert find_origins(model, module) == {"val_1": Origin("weight", (1, 0))}
