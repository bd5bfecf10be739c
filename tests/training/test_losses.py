"""Losses against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from sardonyx.training.losses import imitation, response_loss, supervised
from torch import nn

LOG3 = math.log(3.0)
KL = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
"""From (1/2, 1/2) to (3/4, 1/4): 0.1438."""


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_response_loss_is_kl_times_temperature_squared(temperature) -> None:
    student = torch.tensor([[LOG3 * temperature, 0.0]])  # softmax of it over T is (3/4, 1/4)
    teacher = torch.zeros(1, 2)
    assert response_loss(student, teacher, temperature).item() == pytest.approx(temperature**2 * KL, rel=1e-5)


def test_response_loss_is_a_mean_over_samples_and_zero_for_equals() -> None:
    student, teacher = torch.tensor([[LOG3, 0.0], [1.0, 2.0]]), torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    assert response_loss(student, teacher, 1.0).item() == pytest.approx(KL / 2, rel=1e-5)


def test_gradient_has_the_size_of_the_labels_gradient() -> None:
    teacher = torch.tensor([[2.0, 0.0, -1.0]])
    sizes = []
    for temperature in (20.0, 40.0):
        student = torch.zeros(1, 3, requires_grad=True)
        response_loss(student, teacher, temperature).backward()
        sizes.append(student.grad.norm().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


def test_label_smoothing() -> None:
    logits, labels = torch.tensor([[LOG3, 0.0]]), torch.tensor([0])
    plain = supervised()(logits, labels, ())["labels"].item()
    smooth = supervised(0.5)(logits, labels, ())["labels"].item()
    assert plain == pytest.approx(-math.log(0.75), rel=1e-5)
    assert smooth == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25), rel=1e-5)


def test_terms_are_weighted_and_the_teacher_gets_no_gradient() -> None:
    teacher = nn.Linear(2, 2)
    objective = imitation(teacher, temperature=2.0, teacher_weight=0.75)
    inputs = (torch.ones(1, 2),)
    logits = torch.tensor([[LOG3, 0.0]], requires_grad=True)
    terms = objective(logits, torch.tensor([0]), inputs)
    wanted = teacher(*inputs)
    assert terms["teacher"].item() == pytest.approx(0.75 * response_loss(logits, wanted, 2.0).item())
    assert terms["labels"].item() == pytest.approx(-0.25 * math.log(0.75), rel=1e-5)
    sum(terms.values()).backward()
    assert teacher.weight.grad is None


def test_other_classes_are_refused() -> None:
    with pytest.raises(RuntimeError):
        response_loss(torch.zeros(1, 2), torch.zeros(1, 3), 1.0)
