"""What a training did, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar


@dataclass(frozen=True)
class EpochRow:
    """One pass over the training samples.

    Attributes:
        epoch: From 1.
        losses: Mean over the steps: ``total``, and each of its weighted terms.
        learning_rate: At the last step.
        validation_top1_ratio: Share of held-out samples that are right, in 0..1; None where that is not the metric.
        seconds: Time taken, validation included.
        validation_score: The metric on held-out samples; higher is better.
    """

    epoch: int
    losses: Mapping[str, float]
    learning_rate: float
    validation_top1_ratio: float | None
    seconds: float
    validation_score: float


@dataclass(frozen=True)
class TrainReport:
    """The report of a training.

    Attributes:
        history: Every epoch.
        best_epoch: The epoch whose weights were kept: the best on held-out samples, the latest of equals.
        metric: What is measured: ``top1``, ``agreement`` (with the teacher), ``r2``, ``cosine``.
        validation_score: The best epoch's, on held-out samples; higher is better.
        evaluation_score: The same on evaluation samples; looked at once, at the end.
        validation_top1_ratio: The share of held-out samples that are right; None where that is not the metric.
        evaluation_top1_ratio: The same for evaluation samples.
        train_samples: Samples trained on.
        validation_samples: Samples held out.
        evaluation_samples: Samples of the final figure.
        params: Trained parameters.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        device: What it ran on.
        processes: Processes that shared the work.
        resumed_epochs: Epochs taken over from an interrupted run.
        seconds: Time taken by all epochs.
        data_sha256: Fingerprint of the training samples.
        options: Every option by name.
        stopped_early: Whether it ended because no epoch was better for as long as ``patience`` says.
    """

    history: tuple[EpochRow, ...]
    best_epoch: int
    metric: str
    validation_score: float
    evaluation_score: float
    validation_top1_ratio: float | None
    evaluation_top1_ratio: float | None
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
    stopped_early: bool = False


Longer = TypeVar("Longer", bound=TrainReport)


def extended(report: TrainReport, kind: type[Longer], **more: Any) -> Longer:
    """A report with more figures than every training has.

    Args:
        report: What every training has.
        kind: The longer report.
        more: What it has beside.
    """
    return kind(**{f.name: getattr(report, f.name) for f in fields(TrainReport)}, **more)


@dataclass(frozen=True)
class DistillReport(TrainReport):
    """The report of a distillation.

    Attributes:
        teacher_score: The metric of the teacher on evaluation samples.
        teacher_top1_ratio: Share of evaluation samples on which the teacher is right; None without labels of classes.
        agreement_ratio: Share of evaluation samples on which student and teacher name the same class; None where the
            outputs are no logits.
        pairs: The pairs of layers that were compared, ``student:teacher``.
        notes: What was decided, in sentences.
    """

    teacher_score: float = 0.0
    teacher_top1_ratio: float | None = None
    agreement_ratio: float | None = None
    pairs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class MutualReport:
    """The report of networks that taught each other.

    Attributes:
        together: The training as a whole; its metric is the mean over the networks.
        networks: Each one's own figures; their histories hold the losses of that network.
        agreement_ratio: Share of evaluation samples on which all networks name the same class.
    """

    together: TrainReport
    networks: tuple[TrainReport, ...]
    agreement_ratio: float
