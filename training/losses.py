"""What is minimised: terms by name, already weighted; their sum is the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import nn
from torch.nn import functional

Terms: TypeAlias = dict[str, torch.Tensor]
"""Weighted terms of a loss by name, each a scalar."""

Objective: TypeAlias = Callable[[torch.Tensor, torch.Tensor, Sequence[torch.Tensor]], Terms]
"""From logits of shape ``(batch, classes)``, labels of shape ``(batch,)`` and the inputs to the terms."""


def supervised(label_smoothing: float = 0.0) -> Objective:
    """Cross-entropy with the labels.

    Args:
        label_smoothing: Share of the label's weight that is spread over all classes.
    """

    def terms(logits: torch.Tensor, labels: torch.Tensor, inputs: Sequence[torch.Tensor]) -> Terms:
        return {"labels": functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)}

    return terms


def imitation(
    teacher: nn.Module, *, temperature: float, teacher_weight: float, label_smoothing: float = 0.0
) -> Objective:
    """Imitate a teacher's answers and keep to the labels (Hinton et al. 2015, arXiv:1503.02531).

    The teacher sees the same augmented inputs as the student.

    Args:
        teacher: In evaluation mode, on the inputs' device.
        temperature: Divides the logits of both.
        teacher_weight: Weight of the teacher's term; the labels have the rest.
        label_smoothing: Of the labels' term.
    """
    on_labels = supervised(label_smoothing)

    def terms(logits: torch.Tensor, labels: torch.Tensor, inputs: Sequence[torch.Tensor]) -> Terms:
        with torch.no_grad():
            wanted = teacher(*inputs).float()
        taught = teacher_weight * response_loss(logits, wanted, temperature)
        return {
            "teacher": taught,
            "labels": (1 - teacher_weight) * on_labels(logits, labels, inputs)["labels"],
        }

    return terms


def response_loss(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """``T² KL(softmax(teacher / T) || softmax(student / T))``, the mean over samples.

    The factor ``T²`` keeps the gradient's size when the temperature changes.

    Args:
        student: Logits of shape ``(batch, classes)``.
        teacher: Logits of the same shape.
        temperature: ``T``.
    """
    first = functional.log_softmax(student / temperature, dim=1)
    second = functional.log_softmax(teacher / temperature, dim=1)
    return temperature**2 * functional.kl_div(first, second, reduction="batchmean", log_target=True)
