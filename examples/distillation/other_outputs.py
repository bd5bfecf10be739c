"""Outputs that are no logits: numbers (how much ink, and where), and embeddings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import sardonyx as sx
import torch
from networks import DigitNet
from sardonyx.training import DistillOptions, distill
from school import QUICK, TEST, TRAIN, fresh_student, place, show, trained_teacher
from torch import nn


class Ink(nn.Module):
    """A teacher that knows: the share of ink of an image, and of its upper half."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Two numbers for each image."""
        return torch.stack([image.mean((1, 2, 3)), image[:, :, :4].mean((1, 2, 3))], 1)


class Embedding(nn.Module):
    """A trained network without its head: 128 numbers for an image."""

    def __init__(self, network: DigitNet) -> None:
        super().__init__()
        self.body = nn.Sequential(network.first, network.second, network.third, network.pool, nn.Flatten())

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The embedding."""
        values: torch.Tensor = self.body(image)
        return values


def with_ink(data: sx.CalibrationData) -> sx.CalibrationData:
    """The images, with what the teacher says as labels, a little wrong."""
    images = torch.from_numpy(data.source.read(data.indices)["image"])
    noise = np.random.default_rng(0).normal(0, 0.02, (len(data), 2))
    return replace(data, all_labels=Ink()(images).numpy() + noise)


if __name__ == "__main__":
    options = DistillOptions(**QUICK, task="regression", teacher_weight=0.5)
    report = distill(
        fresh_student(2), Ink(), with_ink(TRAIN), with_ink(TEST), options, checkpoint=place("numbers")
    )
    show("regression", report)

    options = DistillOptions(**QUICK, task="embedding", distance_weight=1.0)
    teacher = Embedding(trained_teacher())
    report = distill(fresh_student(128), teacher, TRAIN, TEST, options, checkpoint=place("embedding"))
    show("embedding", report)
