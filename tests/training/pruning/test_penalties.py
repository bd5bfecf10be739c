from pathlib import Path

import numpy as np
import pytest
import torch
from sardonyx.core import UsageError
from sardonyx.training import Lesson, TrainOptions, train_by
from sardonyx.training.losses import supervised
from sardonyx.training.pruning import GroupLasso, L1Penalty, L2Penalty, NeuronGroup, Slice, find_vanished
from torch import nn

CONSTANT = TrainOptions(learning_rate=0.5, schedule="constant")
MATRIX = [[3.0, -4.0], [0.3, 0.4], [0.0, -0.2]]


def linear(rows=MATRIX):
    module = nn.Linear(len(rows[0]), len(rows), bias=False)
    module.load_state_dict({"weight": torch.tensor(rows)})
    return module


def rows_of(module, name="rows"):
    count = len(module.weight)
    return NeuronGroup(name, count, (Slice("weight", 0, np.arange(count).reshape(-1, 1), "makes"),))


def test_l1_moves_every_weight_by_the_same_and_stops_at_zero():
    module = linear()
    L1Penalty(0.5, CONSTANT).after_step(module, 1, 10)
    assert torch.allclose(module.weight, torch.tensor([[2.75, -3.75], [0.05, 0.15], [0.0, 0.0]]))


def test_l2_makes_every_weight_smaller_by_the_same_factor():
    module = linear()
    L2Penalty(0.5, CONSTANT).after_step(module, 1, 10)
    assert torch.allclose(module.weight, torch.tensor(MATRIX) / 1.25)


def test_group_lasso_takes_neurons_whose_norm_is_below_the_threshold():
    module = linear()
    GroupLasso([rows_of(module)], 2.0, CONSTANT).after_step(module, 1, 10)
    # The threshold is 0.5 * 2 * sqrt(2); the norms are 5, 0.5 and 0.2.
    kept = torch.tensor([3.0, -4.0]) * (1 - 2**0.5 / 5)
    assert torch.allclose(module.weight, torch.stack([kept, torch.zeros(2), torch.zeros(2)]))


def test_adaptive_group_lasso_punishes_a_neuron_by_its_importance():
    module = linear([[3.0, 4.0], [0.6, 0.8]])
    # Importances are in units of their mean, 3; the threshold is 0.5 * sqrt(2).
    GroupLasso([rows_of(module)], 1.0, CONSTANT, adaptive=1.0).after_step(module, 1, 10)
    kept = torch.tensor([3.0, 4.0]) * (1 - 0.5 * 2**0.5 * (3 / 5) / 5)
    assert torch.allclose(module.weight, torch.stack([kept, torch.zeros(2)]))


@pytest.mark.parametrize("end", [0.5, 0.45])
def test_after_its_end_a_penalty_rests_and_keeps_what_is_zero(end):
    module, penalty = linear(), L1Penalty(0.5, CONSTANT, end=end)
    penalty.after_step(module, 5, 10)
    penalty.before_step(module, 5, 10)
    with torch.no_grad():
        module.weight.add_(1)
    penalty.after_step(module, 6, 10)
    assert torch.allclose(module.weight, torch.tensor([[3.75, -2.75], [1.05, 1.15], [0.0, 0.0]]))
    assert penalty.first_epoch(5) == 3


def test_group_lasso_leaves_the_largest_neuron():
    module = linear()
    GroupLasso([rows_of(module)], 100.0, CONSTANT).after_step(module, 1, 10)
    assert torch.equal(module.weight, torch.tensor([[3.0, -4.0], [0.0, 0.0], [0.0, 0.0]]))


@pytest.mark.parametrize(("done", "length"), [(1, 0.1), (5, 0.5), (10, 1.0), (20, 1.0)])
def test_the_strength_warms_up(done, length):
    assert L1Penalty(2.0, CONSTANT, warmup=0.5).length(done, 20) == pytest.approx(length)


def test_a_step_is_as_long_as_the_optimizers():
    options = TrainOptions(learning_rate=0.5, schedule="cosine")
    assert L1Penalty(2.0, options).length(1, 10) == 1.0
    assert L1Penalty(2.0, options).length(6, 10) == pytest.approx(0.5)


def test_a_strength_of_nothing_does_nothing():
    module = linear()
    GroupLasso([rows_of(module)], 0.0, CONSTANT).after_step(module, 1, 10)
    assert torch.equal(module.weight, torch.tensor(MATRIX))


def test_training_with_group_lasso_makes_neurons_vanish(net, neurons, images, other_images, tmp_path: Path):
    module, groups = net(8, 0.0), [neurons(8)]
    options = TrainOptions(
        epochs=5,
        batch_size=32,
        learning_rate=0.05,
        validation_ratio=0.2,
        precision="fp32",
        schedule="constant",
    )
    lesson = Lesson(supervised(), hooks=(GroupLasso(groups, 0.2, options),), first_epoch=5)
    report = train_by(lesson, module, images, other_images, options, checkpoint=tmp_path / "c.safetensors")
    gone = find_vanished(module, groups)[0].neurons
    assert 0 < len(gone) < 8
    assert report.evaluation_score > 0.8


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"strength": -1.0}, "strength -1"),
        ({"strength": 1.0, "warmup": 2.0}, "warm-up over 2"),
        ({"strength": 1.0, "warmup": 0.5, "end": 0.4}, "an end after 0.4"),
    ],
)
def test_a_penalty_that_is_none_is_refused(words, problem):
    with pytest.raises(UsageError, match=problem):
        L1Penalty(options=CONSTANT, **words)


@pytest.mark.parametrize(
    ("count", "adaptive", "problem"), [(1, -1.0, "to the power of -1"), (0, 0.0, "no neurons to prune")]
)
def test_a_group_lasso_that_is_none_is_refused(count, adaptive, problem):
    groups = [rows_of(linear())][:count]
    with pytest.raises(UsageError, match=problem):
        GroupLasso(groups, 1.0, CONSTANT, adaptive=adaptive)


def test_parameters_that_are_not_there_are_refused():
    with pytest.raises(UsageError, match="no parameter 'bias'"):
        L2Penalty(1.0, CONSTANT, names=["bias"]).after_step(linear(), 1, 10)


def test_a_penalty_on_other_neurons_is_refused():
    with pytest.raises(UsageError, match="index 2 of axis 0"):
        GroupLasso([rows_of(linear())], 1.0, CONSTANT).after_step(linear(MATRIX[:2]), 1, 10)
