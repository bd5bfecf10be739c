"""What a training is about: what is minimised, who judges, and who else works at every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import nn

from ..calib_data.data import CalibrationData
from .batches import labels_of
from .evaluation import evaluate_top1
from .losses import Objective

Judge: TypeAlias = Callable[[nn.Module, CalibrationData], float]
"""From a module and samples to a figure; higher is better."""

LabelReader: TypeAlias = Callable[[CalibrationData, str], torch.Tensor]
"""From samples, and what they are for, to one row of labels for each."""


class StepHook:
    """Someone who works before and after every step; a subclass overrides what it needs.

    What it keeps between steps goes through :meth:`state` and :meth:`load`, so that an interrupted training ends as
    one that was not.
    """

    def before_step(self, module: nn.Module, done: int, total: int) -> None:
        """Work before the forward pass.

        Args:
            module: The module that is trained, as it was handed in.
            done: Steps taken so far.
            total: Steps in all.
        """

    def after_step(self, module: nn.Module, done: int, total: int) -> None:
        """Work after the optimizer has moved the weights.

        Args:
            module: The module that is trained, as it was handed in.
            done: Steps taken so far, this one included.
            total: Steps in all.
        """

    def state(self) -> Mapping[str, torch.Tensor]:
        """What has to be known to go on from here."""
        return {}

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from what :meth:`state` gave.

        Args:
            state: Tensors in the CPU's memory.
        """


@dataclass(frozen=True)
class Lesson:
    """What a training is about.

    Attributes:
        objective: What is minimised.
        judge: How good a module is on held-out samples; chooses the best epoch.
        metric: What the judge measures: ``top1``, ``agreement``, ``r2``, ``cosine``, or a word of one's own.
        read_labels: Reads the labels of the training samples; None trains without.
        layers: Layers of the module whose values the objective wants to see, by name.
        hooks: Who works at every step, in this order.
        aids: Modules that are trained along, and are no part of the result.
        about: What else must be the same when an interrupted training is taken up again.
        first_epoch: The first epoch whose weights may be kept, for a schedule that ends later than it begins.
    """

    objective: Objective
    judge: Judge = evaluate_top1
    metric: str = "top1"
    read_labels: LabelReader | None = labels_of
    layers: Sequence[str] = ()
    hooks: Sequence[StepHook] = ()
    aids: nn.Module = field(default_factory=nn.Module)
    about: Mapping[str, str] = field(default_factory=dict)
    first_epoch: int = 1
