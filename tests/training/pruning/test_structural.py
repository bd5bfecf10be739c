from pathlib import Path

import numpy as np
import pytest
import torch
from sardonyx.core import UsageError
from sardonyx.training import Lesson, TrainOptions, train_by
from sardonyx.training.losses import supervised
from sardonyx.training.pruning import CubicSchedule, GradualStructural, NeuronGroup, Slice, find_vanished
from torch import nn

NOW = CubicSchedule(0.5, 0.0, 0.5, 1)


def stack():
    """Two hidden layers of four neurons whose norms are 1 to 4, and 2, 2.1, 2.2 and 8; and their groups."""
    module = nn.Sequential(*(nn.Linear(4, 4, bias=False) for _ in range(3)))
    with torch.no_grad():
        for layer in module:
            layer.weight.zero_()
        module[0].weight[:, 0] = torch.tensor([1.0, 2.0, 3.0, 4.0])
        module[1].weight.fill_(1e-6)
        module[2].weight[0] = torch.tensor([2.0, 2.1, 2.2, 8.0])
    one = np.arange(4).reshape(-1, 1)
    groups = [
        NeuronGroup(
            f"{i}", 4, (Slice(f"{i}.weight", 0, one, "makes"), Slice(f"{i + 1}.weight", 1, one, "reads"))
        )
        for i in range(2)
    ]
    return module, groups


@pytest.mark.parametrize(
    ("scope", "gone"),
    # Of 48 parameters 24 may stay: 2 + 2 neurons have 8 + 4 + 8; 3 + 2 would have 26.
    [("local", [(0, 1), (0, 1)]), ("global", [(0,), (0, 1, 2)])],
)
def test_the_smallest_neurons_go_as_far_as_the_parameters_ask(scope, gone):
    module, groups = stack()
    GradualStructural(groups, NOW, scope=scope).after_step(module, 1, 2)
    assert [v.neurons for v in find_vanished(module, groups)] == gone


def test_widths_are_kept_at_multiples():
    module, groups = stack()
    GradualStructural(groups, CubicSchedule(0.2, 0.0, 0.5, 1), scope="global", multiple=2).after_step(
        module, 1, 2
    )
    assert [len(v.neurons) for v in find_vanished(module, groups)] == [0, 2]


def test_a_neuron_that_is_gone_stays_gone():
    module, groups = stack()
    hook = GradualStructural(groups, CubicSchedule(0.75, 0.0, 1.0, 1, initial=0.3), scope="local")
    hook.after_step(module, 0, 10)
    before = [v.neurons for v in find_vanished(module, groups)]
    with torch.no_grad():
        for layer in module:
            layer.weight.add_(100)
    hook.after_step(module, 10, 10)
    after = [v.neurons for v in find_vanished(module, groups)]
    assert before == [(0,), (0,)]
    assert all(set(a) > set(b) for a, b in zip(after, before, strict=True))


def train(net, neurons, images, other_images, folder, *, stop_after=None):
    options = TrainOptions(
        epochs=5, batch_size=32, learning_rate=0.05, validation_ratio=0.2, precision="fp32"
    )
    schedule = CubicSchedule(0.6, 0.1, 0.6, 2)
    module, groups = net(8, 0.0), [neurons(8)]

    def progress(done, total):
        if stop_after is not None and done > stop_after:
            raise KeyboardInterrupt

    lesson = Lesson(
        supervised(), hooks=(GradualStructural(groups, schedule),), first_epoch=schedule.first_epoch(5)
    )
    place = folder / "c.safetensors"
    report = train_by(
        lesson, module, images, other_images, options, checkpoint=place, resume=True, progress=progress
    )
    return module, find_vanished(module, groups)[0].neurons, report


def test_masked_neurons_stay_zero_through_training_and_resume(
    net, neurons, images, other_images, tmp_path: Path
):
    (tmp_path / "broken").mkdir()
    whole, gone, report = train(net, neurons, images, other_images, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(net, neurons, images, other_images, tmp_path / "broken", stop_after=14)
    resumed, also_gone, _ = train(net, neurons, images, other_images, tmp_path / "broken")
    assert len(gone) == 5
    assert gone == also_gone
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    assert report.evaluation_score > 0.7


def test_the_state_is_the_masks():
    module, groups = stack()
    hook, other = (GradualStructural(groups, NOW) for _ in range(2))
    hook.after_step(module, 1, 2)
    other.load(hook.state())
    assert [mask.tolist() for mask in other.alive] == [[False, True, True, True], [False, False, False, True]]


def test_a_share_that_cannot_be_reached_is_refused():
    module, groups = stack()
    hook = GradualStructural(groups, CubicSchedule(0.5, 0.0, 0.5, 1), multiple=4)
    with pytest.raises(
        UsageError, match="50% of the parameters are to go, and the groups hold no more than 0%"
    ):
        hook.before_step(module, 0, 2)


@pytest.mark.parametrize(
    ("words", "problem"), [({"scope": "layer"}, "scope 'layer'"), ({"multiple": 0}, "multiples of 0")]
)
def test_words_that_mean_nothing_are_refused(words, problem):
    with pytest.raises(UsageError, match=problem):
        GradualStructural(stack()[1], NOW, **words)


def test_no_neurons_are_refused():
    with pytest.raises(UsageError, match="no neurons to prune"):
        GradualStructural([], NOW)
