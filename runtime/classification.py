"""Metrics of classifiers: right answers, and answers that agree with another model's."""

from __future__ import annotations

import numpy as np

from ..core.errors import DataError, ModelError, UsageError
from ..core.tensors import Array, Feed
from .intervals import Matrix


def pick_scores(outputs: Feed, named: str | None) -> str:
    """Choose the output that holds one score for each class.

    Args:
        outputs: The outputs of one batch.
        named: The output the user named, or None.

    Returns:
        The named output, or the first of rank 2 (trailing dimensions of 1 aside) that has a class at all.

    Raises:
        ModelError: There is no such output.
    """
    if named is not None:
        if named not in outputs:
            raise ModelError(f"the model has no output {named!r}", remedy=f"it has: {', '.join(outputs)}")
        return named
    for name, array in outputs.items():
        if class_scores(array).ndim == 2 and array.shape[1]:
            return name
    shapes = ", ".join(f"{name} {array.shape}" for name, array in outputs.items())
    raise ModelError(
        f"no output has rank 2 and a class: {shapes}", remedy="name the output, or use cosine or sqnr"
    )


def class_scores(array: Array) -> Array:
    """Drop trailing dimensions of 1 down to rank 2: ``(n, classes, 1, 1)`` becomes ``(n, classes)``."""
    while array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    return array


def top1_columns(scores: Array, labels: Array) -> Matrix:
    """Which samples have their label as the highest score.

    Args:
        scores: Shape ``(n, classes)``.
        labels: Whole numbers, shape ``(n,)``.

    Returns:
        1 or 0 for each sample, shape ``(n, 1)``; a sample with NaN among its scores is wrong.

    Raises:
        DataError: There is not one label for each row, or a label is no class of the model.
    """
    scores = class_scores(scores)
    labels = _class_labels(scores, labels)
    right = (scores.argmax(1) == labels) & ~np.isnan(scores).any(1)
    return np.asarray(right, np.float64)[:, None]


def topk_columns(scores: Array, labels: Array, *, count: int) -> Matrix:
    """Which samples have their label among the highest scores.

    Args:
        scores: Shape ``(n, classes)``.
        labels: Whole numbers, shape ``(n,)``.
        count: How many of the highest; of equal scores, the class with the lower number comes first.

    Returns:
        1 or 0 for each sample, shape ``(n, 1)``; a sample with NaN among its scores is wrong.

    Raises:
        DataError: There is not one label for each row, or a label is no class of the model.
        UsageError: There are no more classes than that.
    """
    scores = class_scores(scores)
    labels = _class_labels(scores, labels)
    if count >= scores.shape[1]:
        raise UsageError(
            f"top{count} of {scores.shape[1]} classes is always right", remedy="count fewer, or use top1"
        )
    own = scores[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    before = (scores > own) | ((scores == own) & earlier)
    right = (before.sum(1) < count) & ~np.isnan(scores).any(1)
    return np.asarray(right, np.float64)[:, None]


def _class_labels(scores: Array, labels: Array) -> Array:
    """One class of the model for each row of scores, shape ``(n,)``."""
    labels = np.asarray(labels).reshape(len(labels), -1)
    if labels.shape != (len(scores), 1) or labels.dtype.kind not in "iu":
        raise DataError(
            f"labels of shape {labels.shape} and type {labels.dtype} for outputs of shape {scores.shape}",
            remedy="give one whole number for each sample",
        )
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < scores.shape[1]:
        raise DataError(
            f"labels run from {labels.min()} to {labels.max()}, the model has {scores.shape[1]} classes",
            remedy="use the labels that the model was trained with",
        )
    return labels[:, 0]


def agreement_columns(scores: Array, reference: Array) -> Matrix:
    """Which samples get the same answer from two models.

    Args:
        scores: Shape ``(n, classes)``, or ``(n, steps, classes)`` where every step has to agree.
        reference: The same of the other model.

    Returns:
        1 or 0 for each sample, shape ``(n, 1)``; NaN in either is no agreement.

    Raises:
        DataError: The shapes differ.
    """
    scores, reference = class_scores(scores), class_scores(reference)
    if scores.shape != reference.shape:
        raise DataError(
            f"outputs of shapes {scores.shape} and {reference.shape} cannot be compared",
            remedy="compare models of the same task on the same samples",
        )
    same = (scores.argmax(-1) == reference.argmax(-1)).reshape(len(scores), -1).all(1)
    broken = np.isnan(scores) | np.isnan(reference)
    same &= ~broken.reshape(len(scores), -1).any(1)
    return np.asarray(same, np.float64)[:, None]
