"""A teacher and a student of the sizes that lectures use: convolutions and two linear layers, without normalisation."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import nn

Image = tuple[int, int, int]
"""Channels, height and width."""


class Classifier(nn.Module):
    """Convolutions that end in a feature map a quarter of the image's side, and a classifier of two linear layers.

    Args:
        features: The convolutions; halve the image twice.
        channels: Channels of what they give.
        hidden: Width of the classifier.
        image: What one image is.
        classes: Number of classes.
    """

    def __init__(
        self, features: nn.Sequential, channels: int, hidden: int, image: Image, classes: int
    ) -> None:
        super().__init__()
        self.features = features
        positions = math.prod(side // 4 for side in image[1:])
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * positions, hidden),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(hidden, classes),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of shape ``(batch, classes)``."""
        logits: torch.Tensor = self.classifier(self.features(image))
        return logits


def teacher(image: Image, classes: int = 10) -> Classifier:
    """Four convolutions of 128, 64, 64 and 32 channels, two before each halving, and 512 hidden units."""
    features = nn.Sequential(
        *convolutions(image[0], 128, 64), nn.MaxPool2d(2), *convolutions(64, 64, 32), nn.MaxPool2d(2)
    )
    return Classifier(features, 32, 512, image, classes)


def student(image: Image, classes: int = 10) -> Classifier:
    """Two convolutions of 16 channels, one before each halving, and 256 hidden units."""
    features = nn.Sequential(
        *convolutions(image[0], 16), nn.MaxPool2d(2), *convolutions(16, 16), nn.MaxPool2d(2)
    )
    return Classifier(features, 16, 256, image, classes)


def convolutions(*widths: int) -> list[nn.Module]:
    """3x3 convolutions from width to width, each with a ReLU."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    return layers
