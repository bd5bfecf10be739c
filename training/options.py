"""What a training is asked for: scalar fields only, so that a recipe can hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..core.errors import UsageError
from .schedule import SCHEDULES, Schedule

Precision = Literal["auto", "fp32", "bf16"]
Optimizer = Literal["sgd", "adamw"]

PRECISIONS: tuple[Precision, ...] = ("auto", "fp32", "bf16")
OPTIMIZERS: tuple[Optimizer, ...] = ("sgd", "adamw")


@dataclass(frozen=True)
class TrainOptions:
    """How a module is trained.

    Attributes:
        epochs: Passes over the training samples.
        batch_size: Samples in one step, over all processes together.
        optimizer: ``sgd`` (with Nesterov momentum) or ``adamw``.
        learning_rate: The largest rate of the schedule.
        momentum: Of ``sgd``; the first moment's decay of ``adamw``.
        weight_decay: On weights of two and more dimensions; biases and normalisation go without.
        schedule: ``one-cycle``, ``cosine`` or ``constant``.
        warmup_ratio: Share of the steps in which the rate of ``one-cycle`` rises.
        label_smoothing: Share of the label's weight that is spread over all classes.
        flip: Whether images are mirrored left to right, half of the time.
        shift: Most pixels by which an image is moved in each direction.
        erase: Share of the images of which a square is blanked.
        validation_ratio: Share of the training samples held out to choose the best epoch.
        precision: ``fp32``, ``bf16`` (matrix products in bfloat16), or ``auto``: bf16 where the hardware
            multiplies it.
        seed: Of the split, the order, the augmentation and dropout.
    """

    epochs: int = 8
    batch_size: int = 128
    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Schedule = "one-cycle"
    warmup_ratio: float = 0.25
    label_smoothing: float = 0.0
    flip: bool = False
    shift: int = 0
    erase: float = 0.0
    validation_ratio: float = 0.05
    precision: Precision = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        _at_least(self, 1, "epochs", "batch_size")
        _at_least(self, 0, "learning_rate", "weight_decay", "shift", "seed")
        _shares(self, "momentum", "warmup_ratio", "label_smoothing", "erase", "validation_ratio")
        for name, known in (("schedule", SCHEDULES), ("precision", PRECISIONS), ("optimizer", OPTIMIZERS)):
            if getattr(self, name) not in known:
                raise UsageError(
                    f"{name} {getattr(self, name)!r}", remedy=f"choose one of {', '.join(known)}"
                )
        if self.validation_ratio == 0:
            raise UsageError(
                "no training samples are held out", remedy="give a validation_ratio above 0, such as 0.05"
            )


@dataclass(frozen=True)
class DistillOptions(TrainOptions):
    """How a student is taught by a teacher (Hinton et al. 2015, arXiv:1503.02531).

    Attributes:
        temperature: Divides the logits of both before they are compared.
        teacher_weight: Weight of the comparison with the teacher; the labels have the rest.
    """

    temperature: float = 4.0
    teacher_weight: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.temperature > 0:
            raise UsageError(f"temperature {self.temperature}", remedy="give a temperature above 0")
        if not 0 <= self.teacher_weight <= 1:
            raise UsageError(f"teacher_weight {self.teacher_weight}", remedy="give a weight from 0 to 1")


def _at_least(options: TrainOptions, least: int, *names: str) -> None:
    for name in names:
        if not getattr(options, name) >= least:
            raise UsageError(f"{name} {getattr(options, name)}", remedy=f"give at least {least}")


def _shares(options: TrainOptions, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(options, name) < 1:
            raise UsageError(f"{name} {getattr(options, name)}", remedy="give a share from 0 to below 1")
