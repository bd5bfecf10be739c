"""Losses against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from sardonyx.core.errors import DataError
from sardonyx.training import DistillOptions
from sardonyx.training.answers import Live
from sardonyx.training.batches import Batch
from sardonyx.training.imitation import Imitation
from sardonyx.training.losses import angle_loss, cosine_loss, distance_loss, only, response_loss, supervised
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
    logits, batch = torch.tensor([[LOG3, 0.0]]), Batch(labels=torch.tensor([0]))
    plain = supervised()(logits, batch)["labels"].item()
    smooth = supervised(0.5)(logits, batch)["labels"].item()
    assert plain == pytest.approx(-math.log(0.75), rel=1e-5)
    assert smooth == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25), rel=1e-5)


def test_terms_are_weighted_and_the_teacher_gets_no_gradient() -> None:
    teacher = nn.Linear(2, 2)
    objective = Imitation(DistillOptions(temperature=2.0, teacher_weight=0.75), Live(teacher))
    batch = Batch((torch.ones(1, 2),), torch.tensor([0]))
    logits = torch.tensor([[LOG3, 0.0]], requires_grad=True)
    terms = objective(logits, batch)
    wanted = teacher(*batch.inputs)
    assert terms["teacher"].item() == pytest.approx(0.75 * response_loss(logits, wanted, 2.0).item())
    assert terms["labels"].item() == pytest.approx(-0.25 * math.log(0.75), rel=1e-5)
    sum(terms.values()).backward()
    assert teacher.weight.grad is None


def test_cosine_loss_is_zero_for_multiples_and_two_for_opposites() -> None:
    rows = torch.tensor([[[1.0, 2.0]], [[0.0, -3.0]]])
    assert cosine_loss(rows, 5 * rows).item() == pytest.approx(0, abs=1e-6)
    assert cosine_loss(rows, -rows).item() == pytest.approx(2)
    assert cosine_loss(rows[:1], torch.tensor([[[2.0, -1.0]]])).item() == pytest.approx(1)


def test_distances_count_in_units_of_their_mean() -> None:
    corners = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])  # sides 3, 4, 5; mean 4
    line = torch.tensor([[0.0], [1.0], [2.0]])  # 1, 2, 1; mean 4/3
    assert distance_loss(corners, 7 * corners).item() == pytest.approx(0, abs=1e-10)
    wanted = sum(0.5 * d**2 for d in (3 / 4 - 3 / 4, 1 - 3 / 2, 5 / 4 - 3 / 4)) * 2 / 9
    assert distance_loss(corners, line).item() == pytest.approx(wanted, rel=1e-5)


def test_angles_do_not_see_sizes_and_turns() -> None:
    corners = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    turned = 2 * corners @ torch.tensor([[0.0, 1.0], [-1.0, 0.0]]) + 5
    assert angle_loss(corners, turned).item() == pytest.approx(0, abs=1e-10)
    line = torch.tensor([[0.0], [1.0], [2.0]])  # cosines 1, -1, 1 against 0, 3/5, 4/5
    wanted = 2 * (0.5 * 1 + (1.6 - 0.5) + 0.5 * 0.2**2) / 27
    assert angle_loss(corners, line).item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("loss", [cosine_loss, distance_loss, angle_loss])
def test_gradients_are_right_and_finite_where_samples_meet(loss) -> None:
    random = torch.Generator().manual_seed(0)
    rows, wanted = (torch.rand(4, 3, dtype=torch.float64, generator=random) for _ in range(2))
    assert torch.autograd.gradcheck(lambda x: loss(x, wanted), rows.requires_grad_())
    same = torch.ones(4, 3, requires_grad=True)
    loss(same, wanted.float()).backward()
    assert torch.isfinite(same.grad).all()


def test_a_module_with_several_outputs_is_refused() -> None:
    assert only((LOGIT := torch.ones(1),)) is LOGIT
    with pytest.raises(DataError, match="2 outputs where one is wanted"):
        only((torch.ones(1), torch.ones(1)))


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("loss", [distance_loss, angle_loss])
def test_other_samples_are_refused(loss) -> None:
    with pytest.raises((RuntimeError, ValueError)):
        loss(torch.rand(3, 2), torch.rand(5, 2))


def test_other_classes_are_refused() -> None:
    with pytest.raises(RuntimeError):
        response_loss(torch.zeros(1, 2), torch.zeros(1, 3), 1.0)
