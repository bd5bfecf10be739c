"""What a training did, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class EpochRow:
    """One pass over the training samples.

    Attributes:
        epoch: From 1.
        losses: Mean over the steps: ``total``, and each of its weighted terms.
        learning_rate: At the last step.
        validation_top1_ratio: Share of held-out samples that are right, in 0..1.
        seconds: Time taken, validation included.
    """

    epoch: int
    losses: Mapping[str, float]
    learning_rate: float
    validation_top1_ratio: float
    seconds: float


@dataclass(frozen=True)
class TrainReport:
    """The report of a training.

    Attributes:
        history: Every epoch.
        best_epoch: The epoch whose weights were kept: the best on held-out samples, the latest of equals.
        validation_top1_ratio: Its share of held-out samples that are right.
        evaluation_top1_ratio: Its share of evaluation samples that are right; looked at once, at the end.
        train_samples: Samples trained on.
        validation_samples: Samples held out.
        evaluation_samples: Samples of the final figure.
        params: Trained parameters.
        precision: ``fp32`` or ``bf16``.
        device: What it ran on.
        processes: Processes that shared the work.
        resumed_epochs: Epochs taken over from an interrupted run.
        seconds: Time taken by all epochs.
        data_sha256: Fingerprint of the training samples.
        options: Every option by name.
    """

    history: tuple[EpochRow, ...]
    best_epoch: int
    validation_top1_ratio: float
    evaluation_top1_ratio: float
    train_samples: int
    validation_samples: int
    evaluation_samples: int
    params: int
    precision: str
    device: str
    processes: int
    resumed_epochs: int
    seconds: float
    data_sha256: str
    options: Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class DistillReport(TrainReport):
    """The report of a distillation.

    Attributes:
        teacher_top1_ratio: Share of evaluation samples on which the teacher is right.
        agreement_ratio: Share of evaluation samples on which student and teacher name the same class.
    """

    teacher_top1_ratio: float = 0.0
    agreement_ratio: float = 0.0
