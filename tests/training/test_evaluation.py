"""How often a module is right, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import DataError
from sardonyx.training import evaluate_top1, predict
from sardonyx.training.evaluation import Likeness, agreement, alike, explained
from torch import nn

LOGITS = np.array([[2, 1, 0], [0, 3, 1], [0, 1, 5], [1, 0, 0]], np.float32)


def data(labels=(0, 1, 0, 0)) -> CalibrationData:
    return CalibrationData.from_arrays({"x": LOGITS}, None if labels is None else np.array(labels))


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_share_of_right_answers(batch_size) -> None:
    assert predict(nn.Identity(), data(), batch_size=batch_size).tolist() == [0, 1, 2, 0]
    assert evaluate_top1(nn.Identity(), data(), batch_size=batch_size) == 0.75


def test_dropout_is_off_and_on_again() -> None:
    module = nn.Dropout(0.9)
    assert evaluate_top1(module, data()) == 0.75
    assert module.training


def test_agreement_counts_equal_classes() -> None:
    assert (
        agreement(torch.tensor([[1.0, 0], [0, 1], [0, 1]]), torch.tensor([[9.0, 0], [9, 1], [0, 9]])) == 2 / 3
    )


def test_r2_is_one_for_equals_and_zero_for_the_mean() -> None:
    wanted = torch.tensor([1.0, 2.0, 6.0])
    assert explained(wanted[:, None], wanted) == 1
    assert explained(torch.full((3, 1), 3.0), wanted) == pytest.approx(0)
    assert explained(torch.tensor([[2.0], [2.0], [5.0]]), wanted) == pytest.approx(1 - 2 / 14)


def test_alike_is_the_mean_cosine() -> None:
    rows = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert alike(rows, torch.tensor([[3.0, 0.0], [1.0, 0.0]])) == pytest.approx(0.5)


def test_outputs_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(3, 2\) are compared with \(3, 1\)"):
        explained(torch.zeros(3, 2), torch.zeros(3))


def test_likeness_asks_for_what_is_wanted() -> None:
    judge = Likeness("r2", explained, lambda samples: torch.from_numpy(LOGITS) * 2)
    assert judge(nn.Identity(), data()) == judge.of(torch.from_numpy(LOGITS), data()) < 1


def test_labels_are_needed() -> None:
    with pytest.raises(DataError, match="no labels"):
        evaluate_top1(nn.Identity(), data(None))


@pytest.mark.parametrize("module", [nn.Flatten(0), nn.Threshold(9.0, float("nan"))])
def test_outputs_must_be_finite_logits(module) -> None:
    with pytest.raises(DataError, match="not finite logits"), torch.no_grad():
        evaluate_top1(module, data())
