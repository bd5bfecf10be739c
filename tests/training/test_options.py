"""Options refuse what makes no sense, and hold scalars only."""

from __future__ import annotations

import dataclasses

import pytest
from sardonyx.core.errors import UsageError
from sardonyx.training import DistillOptions, TrainOptions


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
    ],
)
def test_refused(change) -> None:
    with pytest.raises(UsageError):
        DistillOptions(**change)


def test_fields_are_scalars() -> None:
    values = dataclasses.asdict(DistillOptions()).values()
    assert all(isinstance(v, (str, int, float, bool)) for v in values)
    assert {f.name for f in dataclasses.fields(TrainOptions)} < set(dataclasses.asdict(DistillOptions()))
