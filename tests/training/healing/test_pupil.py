"""How far a pupil agrees with its teacher, however the samples are batched."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import DataError
from sardonyx.training.healing.pupil import agreement, distance
from sardonyx.training.healing.report import Answer
from torch import nn

NUMBERS = Answer("y", "y", "y", "values", 1, "mse")
SCORES = Answer("y", "y", "y", "logits", 1, "kl")
ROWS = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)


class Scaled(nn.Module):
    """Its input, times a number, as the only answer."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (x * self.factor,)


@pytest.mark.parametrize("batch", [None, 1, 4])
def test_numbers_are_explained_as_far_as_their_variance(batch):
    data = replace(CalibrationData.from_arrays({"x": ROWS}), fixed_batch=batch)
    rows = ROWS.astype(np.float64)
    wanted = 1 - ((0.5 * rows) ** 2).sum() / ((rows - rows.mean(0)) ** 2).sum()
    assert agreement(Scaled(1.5), Scaled(1.0), data, [NUMBERS]) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("batch", [None, 1, 4])
def test_scores_agree_in_rows_that_name_the_same_class(batch):
    data = replace(CalibrationData.from_arrays({"x": ROWS}), fixed_batch=batch)
    assert agreement(Scaled(0.1), Scaled(1.0), data, [SCORES]) == 1.0
    assert agreement(Scaled(-1.0), Scaled(1.0), data, [SCORES]) == 0.0


def test_one_sample_is_no_division_by_zero():
    one = torch.tensor([[3.0, 4.0]])
    assert float(distance(NUMBERS, 1.0)(2 * one, one)) == pytest.approx(1.0)


def test_an_infinite_answer_is_refused():
    data = CalibrationData.from_arrays({"x": ROWS})
    with pytest.raises(DataError):
        agreement(Scaled(float("inf")), Scaled(1.0), data, [NUMBERS])
