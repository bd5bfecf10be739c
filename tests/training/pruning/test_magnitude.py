from pathlib import Path

import pytest
import torch
from sardonyx.core import UsageError
from sardonyx.training import Lesson, TrainOptions, train_by
from sardonyx.training.losses import supervised
from sardonyx.training.pruning import CubicSchedule, GradualMagnitude
from torch import nn

NOW = CubicSchedule(0.5, 0.0, 0.5, 1)


def pair():
    module = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        module[0].weight.copy_(torch.tensor([[1.0, -2.0], [3.0, -4.0]]))
        module[1].weight.copy_(torch.tensor([[10.0, -20.0], [30.0, -40.0]]))
    return module


@pytest.mark.parametrize(
    ("scope", "kept"),
    [("global", ([0, 0, 0, 0], [10, -20, 30, -40])), ("layer", ([0, 0, 3, -4], [0, 0, 30, -40]))],
)
def test_the_smallest_go_over_all_or_by_layer(scope, kept):
    module = pair()
    GradualMagnitude(NOW, scope=scope).after_step(module, 1, 2)
    assert tuple(layer.weight.flatten().tolist() for layer in module) == kept


def test_what_is_gone_stays_gone_though_the_optimizer_moves_it():
    module, hook = pair(), GradualMagnitude(CubicSchedule(0.75, 0.0, 1.0, 1, initial=0.5), scope="layer")
    hook.after_step(module, 0, 10)
    with torch.no_grad():
        module[0].weight.add_(100)
    hook.after_step(module, 10, 10)
    assert module[0].weight.flatten().tolist() == [0, 0, 103, 0]


def test_nothing_goes_before_it_is_due():
    module = pair()
    GradualMagnitude(CubicSchedule(0.5, 0.5, 1.0)).after_step(module, 1, 10)
    assert all(layer.weight.all() for layer in module)


def train(net, images, other_images, folder, epochs, *, stop_after=None):
    options = TrainOptions(
        epochs=epochs, batch_size=32, learning_rate=0.05, validation_ratio=0.2, precision="fp32"
    )
    schedule = CubicSchedule(0.8, 0.1, 0.6, 2)
    hook = GradualMagnitude(schedule)
    module = net(8, 0.0)

    def progress(done, total):
        if stop_after is not None and done > stop_after:
            raise KeyboardInterrupt

    lesson = Lesson(supervised(), hooks=(hook,), first_epoch=schedule.first_epoch(epochs))
    train_by(
        lesson,
        module,
        images,
        other_images,
        options,
        checkpoint=folder / "c.safetensors",
        resume=True,
        progress=progress,
    )
    return module


def test_masked_weights_stay_zero_through_training_and_resume(net, images, other_images, tmp_path: Path):
    (tmp_path / "broken").mkdir()
    whole = train(net, images, other_images, tmp_path, 5)
    with pytest.raises(KeyboardInterrupt):
        train(net, images, other_images, tmp_path / "broken", 5, stop_after=14)
    resumed = train(net, images, other_images, tmp_path / "broken", 5)
    weights = torch.cat([whole[0].weight.flatten(), whole[5].weight.flatten()])
    assert int((weights == 0).sum()) == round(0.8 * len(weights))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_an_unknown_scope_is_refused():
    with pytest.raises(UsageError, match="scope 'local'"):
        GradualMagnitude(NOW, scope="local")


def test_parameters_that_are_not_there_are_refused():
    with pytest.raises(UsageError, match="no parameter 'bias'"):
        GradualMagnitude(NOW, names=["bias"]).after_step(pair(), 1, 2)
