"""The loop: parts of a step, clipped gradients, precision, patience, hooks and judges."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest
import torch
from sardonyx.core.errors import UsageError
from sardonyx.training import Lesson, StepHook, TrainOptions, resume_path, train_by, train_supervised
from sardonyx.training.losses import supervised
from torch import nn

QUICK = TrainOptions(epochs=3, batch_size=32, learning_rate=0.05, validation_ratio=0.2, precision="fp32")


class Stop(Exception):
    """Raised from the progress callback: an interrupted run."""


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 3))


def moved(images, options: TrainOptions, tmp_path) -> torch.Tensor:
    module = linear()
    before = module[1].weight.detach().clone()
    train_supervised(module, images, images, options, checkpoint=tmp_path / "w.safetensors")
    return module[1].weight.detach() - before


@pytest.mark.parametrize("parts", [2, 5, 99])
def test_a_step_in_parts_is_the_step(images, tmp_path, parts) -> None:
    whole, in_parts = (moved(images, replace(QUICK, accumulate=n), tmp_path) for n in (1, parts))
    torch.testing.assert_close(in_parts, whole, rtol=1e-4, atol=1e-6)


def test_a_step_is_no_longer_than_the_clipped_gradient_allows(images, tmp_path) -> None:
    options = replace(
        QUICK,
        epochs=1,
        batch_size=128,
        schedule="constant",
        momentum=0.0,
        weight_decay=0.0,
        learning_rate=1.0,
    )
    assert moved(images, options, tmp_path).norm() > 0.1
    assert moved(images, replace(options, clip_norm=0.01), tmp_path).norm() < 0.010001


def test_float16_learns_and_goes_on_as_it_was(net, images, other_images, tmp_path) -> None:
    options = replace(QUICK, precision="fp16", clip_norm=5.0)
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    report = train_supervised(net(), images, other_images, options, checkpoint=whole)

    def stop(done: int, total: int) -> None:
        if done > 5:
            raise Stop

    with pytest.raises(Stop):
        train_supervised(net(), images, other_images, options, checkpoint=parts, progress=stop)
    train_supervised(net(), images, other_images, options, checkpoint=parts, resume=True)
    assert (report.precision, report.evaluation_top1_ratio > 0.8) == ("fp16", True)
    assert whole.read_bytes() == parts.read_bytes()


def worse_and_worse(after: int):
    """A judge that likes each epoch better up to one, and then less."""
    seen = iter([*range(after), *range(-1, -99, -1)])
    return lambda module, data: float(next(seen))


def test_patience_ends_a_training_and_keeps_the_best(images, tmp_path) -> None:
    lesson = Lesson(supervised(), worse_and_worse(2), "liking")
    options = replace(QUICK, epochs=9, patience=3)
    report = train_by(lesson, linear(), images, images, options, checkpoint=tmp_path / "w.safetensors")
    assert (len(report.history), report.best_epoch, report.stopped_early) == (5, 2, True)
    assert (report.metric, report.validation_score, report.validation_top1_ratio) == ("liking", 1.0, None)
    again = train_by(
        lesson, linear(), images, images, options, checkpoint=tmp_path / "w.safetensors", resume=True
    )
    assert (again.resumed_epochs, again.history) == (5, report.history)


class Counting(StepHook):
    """Counts steps, and halves the bias after each."""

    def __init__(self) -> None:
        self.count = torch.zeros(1)
        self.seen: list[tuple[str, int, int]] = []

    def before_step(self, module: nn.Module, done: int, total: int) -> None:
        self.seen.append(("before", done, total))

    def after_step(self, module: nn.Module, done: int, total: int) -> None:
        self.seen.append(("after", done, total))
        self.count += 1
        with torch.no_grad():
            module[1].bias /= 1 + self.count

    def state(self) -> dict[str, torch.Tensor]:
        return {"count": self.count}

    def load(self, state) -> None:
        self.count = state["count"].clone()


def run_hooked(images, path, hook, **more):
    lesson = Lesson(supervised(), hooks=(hook,))
    return train_by(lesson, linear(), images, images, QUICK, checkpoint=path, **more)


def test_hooks_work_at_every_step(images, tmp_path) -> None:
    hook = Counting()
    run_hooked(images, tmp_path / "w.safetensors", hook)
    assert hook.seen[:3] == [("before", 0, 12), ("after", 1, 12), ("before", 1, 12)]
    assert (hook.seen[-1], hook.count.item()) == (("after", 12, 12), 12)


def test_hooks_go_on_as_they_were(images, tmp_path) -> None:
    def stop(done: int, total: int) -> None:
        if done > 6:
            raise Stop

    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    run_hooked(images, whole, Counting())
    with pytest.raises(Stop):
        run_hooked(images, parts, Counting(), progress=stop)
    run_hooked(images, parts, Counting(), resume=True)
    assert whole.read_bytes() == parts.read_bytes()


def test_other_hooks_are_another_training(images, tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    run_hooked(images, path, Counting())
    with pytest.raises(UsageError, match="another hooks"):
        train_by(Lesson(supervised()), linear(), images, images, QUICK, checkpoint=path, resume=True)


def test_no_labels_are_read_where_none_are_wanted(images, tmp_path) -> None:
    bare = replace(images, all_labels=None)

    def objective(outputs, batch):
        assert batch.labels is None
        return {"size": outputs.square().mean()}

    lesson = Lesson(
        objective, lambda module, data: -float(module[1].weight.detach().norm()), "smallness", None
    )
    report = train_by(lesson, linear(), bare, bare, QUICK, checkpoint=tmp_path / "w.safetensors")
    assert report.evaluation_score == report.validation_score == report.history[-1].validation_score
    assert (report.best_epoch, report.evaluation_top1_ratio) == (3, None)


def test_positions_name_the_training_samples(images, tmp_path) -> None:
    seen: list[torch.Tensor] = []

    def objective(outputs, batch):
        seen.append(batch.positions)
        return supervised()(outputs, batch)

    options = replace(QUICK, epochs=1, accumulate=3)
    train_by(Lesson(objective), linear(), images, images, options, checkpoint=tmp_path / "w.safetensors")
    assert sorted(torch.cat(seen).tolist()) == list(range(128))


def test_layers_that_are_named_are_seen(images, tmp_path) -> None:
    def objective(outputs, batch):
        assert torch.equal(batch.layers["1"], outputs)
        assert batch.layers["0"].shape == (len(batch.positions), 36)
        return supervised()(outputs, batch)

    lesson = Lesson(objective, layers=("0", "1"))
    train_by(lesson, linear(), images, images, QUICK, checkpoint=tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match="no layer '2'"):
        train_by(
            replace(lesson, layers=("2",)), linear(), images, images, QUICK, checkpoint=tmp_path / "v.st"
        )


def test_weights_are_kept_from_an_epoch_on(images, tmp_path) -> None:
    lesson = Lesson(supervised(), worse_and_worse(1), "liking", first_epoch=3)
    report = train_by(lesson, linear(), images, images, QUICK, checkpoint=tmp_path / "w.safetensors")
    assert report.best_epoch == 3
    with pytest.raises(UsageError, match="from epoch 3 on, and there are 2"):
        train_by(
            lesson, linear(), images, images, replace(QUICK, epochs=2), checkpoint=tmp_path / "v.safetensors"
        )


def test_what_is_trained_along_is_resumed_and_not_kept(images, tmp_path) -> None:
    def run(path, **more):
        torch.manual_seed(1)
        aid = nn.Linear(3, 3)

        def objective(outputs, batch):
            return supervised()(aid(outputs), batch)

        train_by(Lesson(objective, aids=aid), linear(), images, images, QUICK, checkpoint=path, **more)
        return aid

    def stop(done: int, total: int) -> None:
        if done > 6:
            raise Stop

    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    aid = run(whole)
    torch.manual_seed(1)
    assert not torch.equal(aid.weight, nn.Linear(3, 3).weight)
    with pytest.raises(Stop):
        run(parts, progress=stop)
    assert torch.equal(run(parts, resume=True).weight, aid.weight)
    assert whole.read_bytes() == parts.read_bytes()


def test_writing_curves_elsewhere_is_the_same_training(images, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("sardonyx.training.curves._board", lambda folder: Board())
    path = tmp_path / "w.safetensors"
    train_supervised(linear(), images, images, replace(QUICK, tensorboard=True), checkpoint=path)
    report = train_supervised(linear(), images, images, QUICK, checkpoint=path, resume=True)
    assert (report.resumed_epochs, dataclasses.asdict(QUICK)) == (3, report.options)
    assert resume_path(path).exists()


class Board:
    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Nothing is drawn."""

    def flush(self) -> None:
        """Nothing is kept."""
