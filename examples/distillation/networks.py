"""A large and a small network for scikit-learn's digits: 8x8 grey images, ten classes."""

from __future__ import annotations

import torch
from torch import nn


class DigitNet(nn.Module):
    """Three stages of one convolution each, the mean over positions, and one linear layer.

    Args:
        widths: Channels of the stages; the second and the third halve the image.
        outputs: Logits, numbers, or the length of an embedding.
    """

    def __init__(self, widths: tuple[int, int, int], outputs: int = 10) -> None:
        super().__init__()
        self.first = stage(1, widths[0], 1)
        self.second = stage(widths[0], widths[1], 2)
        self.third = stage(widths[1], widths[2], 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(widths[2], outputs)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Outputs of shape ``(batch, outputs)`` for images of shape ``(batch, 1, 8, 8)``."""
        features: torch.Tensor = self.pool(self.third(self.second(self.first(image))))
        result: torch.Tensor = self.head(features.flatten(1))
        return result


def stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """A 3x3 convolution, batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def teacher(outputs: int = 10) -> DigitNet:
    """The large network: 94 thousand parameters with ten outputs."""
    return DigitNet((32, 64, 128), outputs)


def student(outputs: int = 10) -> DigitNet:
    """The small network: a thousand parameters with ten outputs."""
    return DigitNet((4, 8, 8), outputs)
