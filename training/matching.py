"""Comparing what two layers give, also where their widths or sizes differ."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from ..core.errors import UsageError
from .layers import LayerPair
from .losses import cosine_loss
from .options import Adapter, FeatureLoss

Shape = tuple[int, ...]


class Match(nn.Module):
    """Compares one pair of layers.

    Args:
        pair: The layers, for messages.
        shapes: What the student's and the teacher's give for a batch.
        loss: How they are compared.
        adapter: What meets unequal widths.

    Raises:
        UsageError: The two cannot be compared in this way; the shapes are named.
    """

    def __init__(
        self, pair: LayerPair, shapes: tuple[Shape, Shape], *, loss: FeatureLoss, adapter: Adapter
    ) -> None:
        super().__init__()
        self.pair = pair
        self.loss = loss
        self.is_pooled = loss == "cosine" if adapter == "auto" else adapter == "pool"
        self.regressor: nn.Module = nn.Identity()
        student, teacher = shapes
        if min(len(student), len(teacher)) < 2:
            raise _refused(pair, shapes, "a layer gives one number for each sample")
        if loss == "attention":
            if min(len(student), len(teacher)) < 4:
                raise _refused(pair, shapes, "attention is compared between images")
        elif not self.is_pooled:
            self.regressor = make_regressor(pair, student, teacher)

    def forward(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """The loss, a scalar, for what the two layers gave."""
        if self.loss == "attention":
            student, teacher = same_size(student, teacher)
            return (attention(student) - attention(teacher)).square().mean()
        if self.is_pooled:
            student, teacher = same_length(student.flatten(1), teacher.flatten(1))
        else:
            student, teacher = same_size(self.regressor(student), teacher)
        return _LOSSES[self.loss](student, teacher)


def make_regressor(pair: LayerPair, student: Shape, teacher: Shape) -> nn.Module:
    """What maps the student's width to the teacher's: nothing, a 1x1 convolution, or a linear layer.

    Of three dimensions, the one that differs is the width: the last for tokens, the middle for a signal.

    Args:
        pair: The layers, for messages.
        student: Shape for a batch.
        teacher: Shape for a batch.

    Raises:
        UsageError: The two differ in rank, or in more than their width.
    """
    if len(student) != len(teacher):
        raise _refused(pair, (student, teacher), "the ranks differ")
    if len(student) == 2 or (len(student) == 3 and student[1] == teacher[1]):
        same = student[-1] == teacher[-1]
        return nn.Identity() if same else nn.Linear(student[-1], teacher[-1])
    if len(student) == 3:
        if student[2] != teacher[2]:
            raise _refused(pair, (student, teacher), "neither the width nor the length is the same")
        return nn.Conv1d(student[1], teacher[1], 1)
    if student[1] == teacher[1]:
        return nn.Identity()
    kinds: dict[int, Callable[..., nn.Module]] = {4: nn.Conv2d, 5: nn.Conv3d}
    if len(student) not in kinds:
        raise _refused(pair, (student, teacher), "there are more than five dimensions")
    return kinds[len(student)](student[1], teacher[1], 1)


def attention(values: torch.Tensor) -> torch.Tensor:
    """Where a layer is active: squares, averaged over channels, each sample's map of length 1.

    Args:
        values: Shape ``(batch, channels, height, width)``.

    Returns:
        Shape ``(batch, height * width)``.
    """
    return functional.normalize(values.square().mean(1).flatten(1), dim=1)


def same_size(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Average the larger image down to the smaller; what is no image is left as it is.

    Args:
        first: Shape ``(batch, channels, height, width)``.
        second: Shape ``(batch, channels, height, width)``.
    """
    if first.ndim != 4 or first.shape[2:] == second.shape[2:]:
        return first, second
    size = (min(first.shape[2], second.shape[2]), min(first.shape[3], second.shape[3]))
    return functional.adaptive_avg_pool2d(first, size), functional.adaptive_avg_pool2d(second, size)


def same_length(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Average neighbours of the longer rows until both are as long as the shorter.

    Args:
        first: Shape ``(batch, length)``.
        second: Shape ``(batch, length)``.
    """
    length = min(first.shape[1], second.shape[1])
    pooled = [
        rows if rows.shape[1] == length else functional.adaptive_avg_pool1d(rows[:, None], length)[:, 0]
        for rows in (first, second)
    ]
    return pooled[0], pooled[1]


_LOSSES: dict[FeatureLoss, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "mse": functional.mse_loss,
    "cosine": cosine_loss,
}


def _refused(pair: LayerPair, shapes: tuple[Shape, Shape], reason: str) -> UsageError:
    return UsageError(
        f"layers {pair} give {shapes[0]} and {shapes[1]}: {reason}", remedy="name another pair of layers"
    )
