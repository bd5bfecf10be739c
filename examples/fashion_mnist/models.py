"""A teacher and a student for Fashion-MNIST: 28x28 grey images, ten classes.

Both are residual networks (He et al. 2015, arXiv:1512.03385) of plain convolutions, batch normalisation and ReLU.
Every width is a multiple of 16, which is what vector kernels like; neither uses depthwise convolutions, which
lose most when they are quantized.
"""

from __future__ import annotations

import torch
from torch import nn


def teacher() -> nn.Module:
    """The large network: 2.8 million parameters, 85 million multiply-accumulates for one image."""
    return ResidualNet(stem=32, widths=(64, 64, 128, 128, 256, 256), strides=(2, 1, 2, 1, 2, 1))


def student() -> nn.Module:
    """The small network: 0.24 million parameters, 11 million multiply-accumulates for one image."""
    return ResidualNet(stem=16, widths=(48, 64, 96), strides=(2, 2, 2))


class ResidualNet(nn.Module):
    """A convolution, residual blocks, the mean over positions, and one linear layer.

    Args:
        stem: Channels of the first convolution, which keeps all 28x28 positions.
        widths: Channels of each block.
        strides: Stride of each block.
        classes: Number of classes.
    """

    def __init__(
        self, *, stem: int, widths: tuple[int, ...], strides: tuple[int, ...], classes: int = 10
    ) -> None:
        super().__init__()
        self.stem = ConvNormRelu(1, stem)
        inputs = (stem, *widths[:-1])
        self.blocks = nn.Sequential(*map(ResidualBlock, inputs, widths, strides))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of shape ``(batch, classes)`` for images of shape ``(batch, 1, 28, 28)``."""
        features: torch.Tensor = self.pool(self.blocks(self.stem(image)))
        logits: torch.Tensor = self.head(features.flatten(1))
        return logits


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = ConvNormRelu(inputs, outputs, stride)
        self.second = nn.Sequential(
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)
        )
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.activation = nn.ReLU()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features of shape ``(batch, outputs, height / stride, width / stride)``."""
        result: torch.Tensor = self.activation(self.second(self.first(features)) + self.shortcut(features))
        return result


class ConvNormRelu(nn.Sequential):
    """A 3x3 convolution, batch normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
        )
