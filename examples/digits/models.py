"""A teacher and a student for scikit-learn's digits: 8x8 grey images, ten classes. Both train in seconds."""

from __future__ import annotations

import torch
from torch import nn


def teacher() -> nn.Module:
    """The large network: 94 thousand parameters, 0.6 million multiply-accumulates for one image."""
    return DigitNet(widths=(32, 64, 128))


def student() -> nn.Module:
    """The small network: 8 thousand parameters, 0.06 million multiply-accumulates for one image."""
    return DigitNet(widths=(16, 16, 32))


class DigitNet(nn.Module):
    """Three convolutions with batch normalisation and ReLU, the mean over positions, one linear layer.

    Args:
        widths: Channels of the convolutions; the second and the third halve the image.
        classes: Number of classes.
    """

    def __init__(self, *, widths: tuple[int, int, int], classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, stride in zip((1, *widths), widths, (1, 2, 2), strict=False):
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of shape ``(batch, classes)`` for images of shape ``(batch, 1, 8, 8)``."""
        logits: torch.Tensor = self.head(self.pool(self.features(image)).flatten(1))
        return logits
