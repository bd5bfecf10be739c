"""What is minimised: terms by name, already weighted; their sum is the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch.nn import functional

from ..core.errors import DataError
from .batches import Batch, Outputs

Terms: TypeAlias = dict[str, torch.Tensor]
"""Weighted terms of a loss by name, each a scalar."""

Objective: TypeAlias = Callable[[Outputs, Batch], Terms]
"""From a module's float32 outputs for a batch, and the batch, to the terms."""


def supervised(label_smoothing: float = 0.0) -> Objective:
    """Cross-entropy with the labels.

    Args:
        label_smoothing: Share of the label's weight that is spread over all classes.
    """

    def terms(outputs: Outputs, batch: Batch) -> Terms:
        assert batch.labels is not None
        logits = only(outputs)
        return {"labels": functional.cross_entropy(logits, batch.labels, label_smoothing=label_smoothing)}

    return terms


def only(outputs: Outputs) -> torch.Tensor:
    """The output of a module that has one.

    Raises:
        DataError: It has several.
    """
    if isinstance(outputs, torch.Tensor):
        return outputs
    if len(outputs) == 1:
        return outputs[0]
    raise DataError(
        f"the module has {len(outputs)} outputs where one is wanted",
        remedy="wrap it in a module that gives the one to be learned",
    )


def response_loss(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """``T² KL(softmax(teacher / T) || softmax(student / T))``, the mean over samples (Hinton et al. 2015).

    The factor ``T²`` keeps the gradient's size when the temperature changes.

    Args:
        student: Logits of shape ``(batch, classes)``.
        teacher: Logits of the same shape.
        temperature: ``T``.
    """
    first = functional.log_softmax(student / temperature, dim=1)
    second = functional.log_softmax(teacher / temperature, dim=1)
    return temperature**2 * functional.kl_div(first, second, reduction="batchmean", log_target=True)


def cosine_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """One minus the cosine of the angle between two samples' values, the mean over samples.

    Args:
        student: Shape ``(batch, ...)``.
        teacher: The same shape.
    """
    return 1 - functional.cosine_similarity(student.flatten(1), teacher.flatten(1), dim=1).mean()


def distance_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Distances between samples like the teacher's, each in units of their mean (Park et al. 2019, section 3.2.1).

    Args:
        student: Shape ``(batch, ...)``.
        teacher: Shape ``(batch, ...)``, of any width.
    """
    return functional.smooth_l1_loss(_distances(student.flatten(1)), _distances(teacher.flatten(1)))


def angle_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Angles of triangles of samples like the teacher's (Park et al. 2019, arXiv:1904.05068, section 3.2.2).

    Memory grows with the cube of the batch.

    Args:
        student: Shape ``(batch, ...)``.
        teacher: Shape ``(batch, ...)``, of any width.
    """
    return functional.smooth_l1_loss(_angles(student.flatten(1)), _angles(teacher.flatten(1)))


def _distances(rows: torch.Tensor) -> torch.Tensor:
    """Distances in units of their mean, shape ``(batch, batch)``."""
    distances, apart = _roots(_squares(rows))
    return distances / (distances.sum() / apart.sum().clamp(min=1)).clamp(min=_LEAST)


def _angles(rows: torch.Tensor) -> torch.Tensor:
    """Cosines at the corner ``i`` between ``j`` and ``k``, shape ``(batch, batch, batch)``, by the law of cosines."""
    squares = _squares(rows)
    distances, apart = _roots(squares)
    sides = 1 / torch.where(apart, distances, 1.0) * apart
    inner = 0.5 * (squares[:, :, None] + squares[:, None, :] - squares[None])
    return inner * sides[:, :, None] * sides[:, None, :]


def _squares(rows: torch.Tensor) -> torch.Tensor:
    """Squared distances between rows; they are centred first, so that little cancels."""
    rows = rows - rows.mean(0)
    lengths = (rows * rows).sum(1)
    return (lengths[:, None] + lengths[None, :] - 2 * rows @ rows.T).clamp(min=0)


def _roots(squares: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances, and which of them are not zero: the root has no gradient where a sample meets itself."""
    # Relative: what is left of a sample's distance to itself is rounding.
    apart = squares > squares.detach().amax() * 4 * torch.finfo(squares.dtype).eps + _LEAST
    return torch.where(apart, squares, 1.0).sqrt() * apart, apart


_LEAST = 1e-12
