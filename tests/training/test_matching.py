"""Comparing layers of unequal shapes, with numbers worked out by hand, or refusing it."""

from __future__ import annotations

import pytest
import torch
from sardonyx.core.errors import UsageError
from sardonyx.training.layers import LayerPair
from sardonyx.training.matching import Match, attention, same_length, same_size
from torch import nn

PAIR = LayerPair("a", "b")


def match(student, teacher, loss="mse", adapter="auto") -> Match:
    torch.manual_seed(0)
    return Match(PAIR, (tuple(student), tuple(teacher)), loss=loss, adapter=adapter)


@pytest.mark.parametrize(
    ("student", "teacher", "kind"),
    [
        ((2, 4), (2, 6), nn.Linear),
        ((2, 4, 8, 8), (2, 6, 8, 8), nn.Conv2d),
        ((2, 4, 8, 8), (2, 4, 4, 4), nn.Identity),
        ((2, 5, 8), (2, 5, 12), nn.Linear),
        ((2, 8, 5), (2, 12, 5), nn.Conv1d),
        ((2, 4, 3, 8, 8), (2, 6, 3, 8, 8), nn.Conv3d),
    ],
)
def test_a_regressor_meets_unequal_widths(student, teacher, kind) -> None:
    made = match(student, teacher)
    assert type(made.regressor) is kind
    loss = made(torch.rand(student), torch.rand(teacher))
    assert loss.shape == ()
    assert torch.isfinite(loss)


@pytest.mark.parametrize(
    ("student", "teacher", "loss", "reason"),
    [
        ((2, 4), (2, 4, 8, 8), "mse", "ranks differ"),
        ((2, 4, 5), (2, 6, 7), "mse", "neither the width nor the length"),
        ((2,), (2, 4), "cosine", "one number"),
        ((2, 4), (2, 4), "attention", "between images"),
        ((2, 4, 1, 1, 1, 1), (2, 5, 1, 1, 1, 1), "mse", "more than five"),
    ],
)
def test_what_cannot_be_compared_is_refused(student, teacher, loss, reason) -> None:
    with pytest.raises(UsageError, match=rf"layers a:b give .*{reason}"):
        match(student, teacher, loss)


def test_a_width_that_changes_on_the_way_is_refused() -> None:
    made = match((2, 4, 8, 8), (2, 6, 8, 8))
    with pytest.raises(RuntimeError, match="channels"):
        made(torch.rand(2, 5, 8, 8), torch.rand(2, 6, 8, 8))


def test_equal_layers_are_compared_as_they_are() -> None:
    first, second = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 2.0)
    assert match(first.shape, second.shape)(first, second).item() == 4.0
    assert not list(match(first.shape, second.shape).parameters())


def test_cosine_averages_the_wider_teacher_down() -> None:
    student = torch.tensor([[[[1.0]], [[2.0]]]])
    teacher = torch.tensor([[[[1.0]], [[1.0]], [[0.0]], [[4.0]]]])  # pairs of neighbours: 1, 2
    made = match(student.shape, teacher.shape, "cosine")
    assert made(student, teacher).item() == pytest.approx(0, abs=1e-6)
    assert not list(made.parameters())


def test_cosine_through_a_regressor() -> None:
    made = match((2, 4, 8, 8), (2, 6, 8, 8), "cosine", "regressor")
    assert sum(p.numel() for p in made.parameters()) == 4 * 6 + 6


def test_attention_sees_where_and_not_how_wide() -> None:
    teacher = torch.zeros(1, 3, 2, 2)
    teacher[:, :, 0, 1] = 5
    student = torch.zeros(1, 2, 4, 4)
    student[:, :, :2, 2:] = 1  # the same quarter
    made = match(student.shape, teacher.shape, "attention")
    assert made(student, teacher).item() == pytest.approx(0, abs=1e-10)
    assert made(student.flip(3), teacher).item() == pytest.approx(2 / 4)
    assert attention(teacher).tolist() == [[0, 1, 0, 0]]


def test_sizes_and_lengths_meet_at_the_smaller() -> None:
    first, second = same_size(torch.arange(16.0).reshape(1, 1, 4, 4), torch.zeros(1, 1, 2, 4))
    assert first[0, 0, 0].tolist() == [2, 3, 4, 5]
    assert second.shape == (1, 1, 2, 4)
    rows = same_length(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 2.0, 4.0, 8.0]]))
    assert rows[1].tolist() == [[1.0, 6.0]]
