"""What a healing is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...core.errors import UsageError
from ..options import Optimizer, TrainOptions

AnswerLoss = Literal["auto", "kl", "mse", "cosine"]

ANSWER_LOSSES: tuple[AnswerLoss, ...] = ("auto", "kl", "mse", "cosine")


@dataclass(frozen=True)
class HealOptions(TrainOptions):
    """How a changed graph is trained to imitate the one that it was made from.

    The defaults suit a graph that has been trained already and lost little: a small rate, few epochs.

    Attributes:
        loss: How answers are compared. ``auto``: logits by Kullback-Leibler divergence, everything else by the squared
            error in units of the teacher's variance; or ``kl``, ``mse``, ``cosine`` for all of them.
        temperature: Divides logits before their distributions are compared.
        label_weight: Weight of the cross-entropy with the labels, where the samples have labels of classes; the teacher
            has the rest.
        features: How many intermediate values, of the same name in both graphs, are matched too.
        feature_weight: Weight of these, their mean.
    """

    epochs: int = 2
    optimizer: Optimizer = "adamw"
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    loss: AnswerLoss = "auto"
    temperature: float = 2.0
    label_weight: float = 0.7
    features: int = 0
    feature_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss not in ANSWER_LOSSES:
            raise UsageError(f"loss {self.loss!r}", remedy=f"choose one of {', '.join(ANSWER_LOSSES)}")
        if not self.temperature > 0:
            raise UsageError(f"temperature {self.temperature}", remedy="give a temperature above 0")
        if not 0 <= self.label_weight <= 1:
            raise UsageError(f"label_weight {self.label_weight}", remedy="give a weight from 0 to 1")
        if self.features < 0 or self.feature_weight < 0:
            raise UsageError(
                "features and their weight are at least 0", remedy="give 0 to match no intermediate value"
            )
