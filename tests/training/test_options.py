"""Options refuse what makes no sense, and hold scalars only."""

from __future__ import annotations

import dataclasses

import pytest
from sardonyx.core.errors import UsageError
from sardonyx.training import DistillOptions, MutualOptions, TrainOptions


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": -1.0},
        {"learning_rate": float("nan")},
        {"momentum": 1.0},
        {"warmup_ratio": 1.5},
        {"label_smoothing": -0.1},
        {"shift": -1},
        {"erase": 1.0},
        {"validation_ratio": 0.0},
        {"schedule": "magic"},
        {"precision": "fp8"},
        {"optimizer": "magic"},
        {"temperature": 0.0},
        {"teacher_weight": 1.1},
        {"accumulate": 0},
        {"clip_norm": -1.0},
        {"patience": -1},
        {"task": "detection"},
        {"response": "l1"},
        {"task": "regression", "response": "kl"},
        {"feature_loss": "kl", "feature_weight": 1.0, "pairs": "a:b"},
        {"adapter": "crop"},
        {"feature_weight": 1.0},
        {"pairs": "a:b"},
        {"distance_weight": -1.0},
        {"angle_weight": float("nan")},
    ],
)
def test_refused(change) -> None:
    with pytest.raises(UsageError):
        DistillOptions(**change)


@pytest.mark.parametrize("change", [{"peer_weight": -1.0}, {"temperature": 0.0}, {"epochs": 0}])
def test_refused_between_equals(change) -> None:
    with pytest.raises(UsageError):
        MutualOptions(**change)


@pytest.mark.parametrize(
    ("task", "response", "needs_labels"),
    [("classification", "kl", True), ("regression", "mse", True), ("embedding", "cosine", False)],
)
def test_what_a_task_means(task, response, needs_labels) -> None:
    options = DistillOptions(task=task)
    assert (options.compared_by, options.needs_labels) == (response, needs_labels)
    assert not DistillOptions(task=task, teacher_weight=1.0).needs_labels
    assert DistillOptions(task=task, response="mse").compared_by == "mse"


def test_fields_are_scalars() -> None:
    values = dataclasses.asdict(DistillOptions()).values()
    assert all(isinstance(v, (str, int, float, bool)) for v in values)
    assert {f.name for f in dataclasses.fields(TrainOptions)} < set(dataclasses.asdict(DistillOptions()))
