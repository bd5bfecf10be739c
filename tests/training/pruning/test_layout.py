from dataclasses import replace

import numpy as np
import pytest
import torch
from sardonyx.core import UsageError
from sardonyx.training.pruning import NeuronGroup, Slice, Vanished, find_vanished
from sardonyx.training.pruning.layout import Layout, weights_of


def test_the_norm_of_a_neuron_is_over_all_that_makes_and_reads_it(net, neurons):
    module = net(4)
    weight, scale, shift, reader = module[0].weight, module[1].weight, module[1].bias, module[5].weight
    wanted = (
        weight.square().sum((1, 2, 3)) + scale**2 + shift**2 + reader.square().reshape(3, 4, 36).sum((0, 2))
    )
    assert torch.allclose(Layout([neurons(4)], module).norms()[0], wanted.sqrt())


def test_importance_weighs_every_tensor_alike_and_has_a_mean_of_one():
    module = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.Linear(2, 1, bias=False))
    module[0].load_state_dict({"weight": torch.tensor([[3.0], [1.0]]), "bias": torch.tensor([1.0, 3.0])})
    module[1].load_state_dict({"weight": torch.tensor([[100.0, 100.0]])})
    one = np.arange(2).reshape(-1, 1)
    places = (("0.weight", 0, "makes"), ("0.bias", 0, "makes"), ("1.weight", 1, "reads"))
    group = NeuronGroup("a", 2, tuple(Slice(name, axis, one, role) for name, axis, role in places))
    layout = Layout([group], module)
    assert layout.importance()[0].tolist() == pytest.approx([1, 1])
    layout.scale([torch.tensor([1.0, 0.0])])
    assert layout.importance()[0].tolist() == pytest.approx([1, 0])


def test_entries_and_what_is_left_are_counted(net, neurons):
    module, groups = net(4), [neurons(4)]
    layout = Layout(groups, module)
    assert layout.entries() == [9 + 1 + 1 + 36 * 3]
    assert layout.params_left([4]) == layout.total == sum(p.numel() for p in module.parameters())
    assert layout.params_left([3]) == sum(p.numel() for p in net(3).parameters())


def test_a_stage_whose_layer_reads_itself_is_counted_on_both_axes():
    module = torch.nn.Linear(4, 4, bias=False)
    rows = np.arange(4).reshape(-1, 1)
    group = NeuronGroup("stage", 4, (Slice("weight", 0, rows, "makes"), Slice("weight", 1, rows, "reads")))
    assert Layout([group], module).params_left([3]) == 9


def test_scaling_touches_the_neuron_and_nothing_else(net, neurons):
    module, before = net(4), net(4)
    Layout([neurons(4)], module).scale([torch.tensor([1.0, 0.0, 1.0, 2.0])])
    assert torch.equal(module[0].weight[0], before[0].weight[0])
    assert not module[0].weight[1].any()
    assert not module[5].weight[:, 36:72].any()
    assert torch.equal(module[5].weight[:, 108:], 2 * before[5].weight[:, 108:])
    assert torch.equal(module[5].bias, before[5].bias)


def test_what_is_normalised_behind_has_no_size_and_is_only_taken_as_a_whole(net, neurons):
    module, before, group = net(4), net(4), neurons(4)
    first, *others = group.slices
    group = replace(group, slices=(replace(first, role="normalized"), *others))
    layout = Layout([group], module)
    assert torch.equal(layout.norms()[0], Layout([replace(group, slices=tuple(others))], module).norms()[0])
    assert layout.entries() == [1 + 1 + 36 * 3]
    layout.scale([torch.tensor([0.5, 0.0, 1.0, 1.0])])
    assert torch.equal(module[0].weight[0], before[0].weight[0])
    assert not module[0].weight[1].any()


@pytest.mark.parametrize(("gone", "found"), [([1, 3], (1, 3)), ([0, 1, 2, 3], (1, 2, 3)), ([], ())])
def test_what_is_zero_as_a_whole_has_vanished_and_one_neuron_stays(net, neurons, gone, found):
    module, groups = net(4), [neurons(4)]
    factor = torch.ones(4)
    factor[gone] = 0
    Layout(groups, module).scale([factor])
    assert find_vanished(module, groups) == (Vanished("0.weight", 4, found),)


def test_a_neuron_that_is_still_read_has_not_vanished(net, neurons):
    module = net(4)
    with torch.no_grad():
        module[0].weight[1] = 0
    assert find_vanished(module, [neurons(4)])[0].neurons == ()


@pytest.mark.parametrize(
    ("parameter", "axis", "problem"),
    [
        ("9.weight", 0, "does not have"),
        ("1.bias", 1, "axis 1, and it has 1"),
        ("5.bias", 0, "index 3 of axis 0"),
    ],
)
def test_places_that_the_module_does_not_have_are_refused(net, parameter, axis, problem):
    group = NeuronGroup("a", 4, (Slice(parameter, axis, np.arange(4).reshape(-1, 1), "makes"),))
    with pytest.raises(UsageError, match=problem):
        Layout([group], net(4))


def test_weights_are_those_of_two_dimensions_or_as_named(net):
    assert list(weights_of(net(4))) == ["0.weight", "5.weight"]
    assert list(weights_of(net(4), ["1.bias"])) == ["1.bias"]


@pytest.mark.parametrize(
    ("names", "problem"), [(["9.bias"], "no parameter '9.bias'"), ([], "no parameter is named")]
)
def test_weights_that_are_none_are_refused(net, names, problem):
    with pytest.raises(UsageError, match=problem):
        weights_of(net(4), names)


def test_a_module_without_weights_is_refused():
    with pytest.raises(UsageError, match="no weights of two and more"):
        weights_of(torch.nn.BatchNorm2d(3))
