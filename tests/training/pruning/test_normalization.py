import subprocess
import sys

import numpy as np
import pytest
import torch
from sardonyx.core import UsageError
from sardonyx.training.pruning import NeuronGroup, Slice, with_normalization
from sardonyx.training.pruning.layout import Layout
from torch import nn

ROWS = np.arange(4).reshape(-1, 1)


def parameters(group):
    return [part.parameter for part in group.slices]


def test_the_normalisation_that_reads_a_layer_is_added(net):
    bare = NeuronGroup(
        "a",
        4,
        (Slice("0.weight", 0, ROWS, "makes"), Slice("5.weight", 1, np.arange(144).reshape(4, 36), "reads")),
    )
    (group,) = with_normalization([bare], net(4).train(), (torch.zeros(2, 1, 6, 6),))
    assert parameters(group) == ["0.weight", "1.weight", "1.bias", "5.weight"]
    assert [part.role for part in group.slices] == ["normalized", "makes", "makes", "reads"]
    assert [part.parameter for part in group.telling] == ["1.weight", "1.bias", "5.weight"]
    assert Layout([group], net(4)).params_left([3]) == sum(p.numel() for p in net(3).parameters())


def test_a_layers_own_bias_is_added_and_nothing_twice():
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.BatchNorm1d(4))
    bare = NeuronGroup("a", 4, (Slice("0.weight", 0, ROWS, "makes"),))
    (group,) = with_normalization([bare], module, (torch.zeros(2, 3),))
    (again,) = with_normalization([group], module, (torch.zeros(2, 3),))
    assert group.slices[0].role == "makes"
    assert parameters(group) == parameters(again) == ["0.weight", "0.bias"]  # a ReLU stands between


def test_the_module_keeps_its_mode_and_its_statistics(net):
    module = net(4).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with_normalization([], module, (torch.ones(2, 1, 6, 6),))
    assert module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_parameters_of_another_module_are_refused(net):
    bare = NeuronGroup("a", 4, (Slice("first.weight", 0, ROWS, "makes"),))
    with pytest.raises(UsageError, match=r"names parameter 'first.weight'"):
        with_normalization([bare], net(4), (torch.zeros(2, 1, 6, 6),))


def test_importing_the_package_loads_no_torch():
    code = "import sardonyx.training.pruning, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
