"""What a healing did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..report import TrainReport

Kind = Literal["logits", "binary", "values"]
"""What an answer is: scores of classes, scores of yes and no, or numbers."""

Comparison = Literal["kl", "mse", "cosine"]
"""How answers are compared."""


@dataclass(frozen=True)
class Answer:
    """An output of the graph, and where it is compared.

    Attributes:
        output: The output's name.
        student: The value that is compared, in the graph that is trained: in front of a Softmax or Sigmoid.
        teacher: The value it is compared with.
        kind: What it is.
        axis: The axis of the classes of ``logits``.
        loss: How it is compared: ``kl``, ``mse`` or ``cosine``.
    """

    output: str
    student: str
    teacher: str
    kind: Kind
    axis: int
    loss: Comparison


@dataclass(frozen=True)
class Estimate:
    """What a training will take, from one step of it.

    Attributes:
        steps: Steps in all.
        seconds: Seconds in all, validation not included.
        bytes: Memory of weights, gradients, the optimizer and what a step keeps for its gradients.
    """

    steps: int
    seconds: float
    bytes: int


@dataclass(frozen=True)
class HealReport(TrainReport):
    """The report of a healing.

    Attributes:
        answers: What was compared, and how.
        matched: Intermediate values that were matched, by name.
        before_score: The metric before, on evaluation samples.
        teacher_score: The metric of the teacher there; 1 where it is the agreement with it.
        estimate: What was stated before it began.
    """

    answers: tuple[Answer, ...] = ()
    matched: tuple[str, ...] = ()
    before_score: float = 0.0
    teacher_score: float = 1.0
    estimate: Estimate = Estimate(0, 0.0, 0)
