"""Metrics from right and wrong answers of each class: F1 and mean intersection over union.

Each sample gives three counts for each class: positions where the answer was right, where the class was answered, and
where it was the label. Sums of them over any choice of samples are all that the metrics need, so that a bootstrap draws
samples anew without running the model anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import DataError, ModelError
from ..core.tensors import Array, Feed
from .classification import class_scores, pick_scores
from .intervals import Matrix
from .multilabel import is_multilabel

IGNORED = 255
"""The label of positions that do not count, as in Pascal VOC and Cityscapes, where it is no class of the model."""


def pick_class_map(outputs: Feed, named: str | None, labels: Array) -> str:
    """Choose the output that holds a score of each class wherever there is a label.

    Args:
        outputs: The outputs of one batch.
        named: The output the user named, or None.
        labels: Labels of the batch, shape ``(n,)`` or ``(n, ...)``; of shape ``(n, classes)`` where a sample may have
            several classes.

    Raises:
        ModelError: There is no such output.
    """
    labels = _one_axis(labels)
    if named is not None or labels.ndim == 1:
        return pick_scores(outputs, named)
    for name, array in outputs.items():
        if array.dtype.kind == "f" and (
            class_axes(array.shape, labels.shape) or is_multilabel(array.shape, labels)
        ):
            return name
    shapes = ", ".join(f"{name} {array.shape}" for name, array in outputs.items())
    raise ModelError(
        f"no output scores classes for labels of shape {labels.shape}: {shapes}",
        remedy="give labels of the output's own size, or name the output",
    )


def class_axes(scores: tuple[int, ...], labels: tuple[int, ...]) -> list[int]:
    """The axes that may hold the classes: the one behind the batch, or the last."""
    if len(scores) != len(labels) + 1:
        return []
    return [axis for axis in sorted({1, len(scores) - 1}) if scores[:axis] + scores[axis + 1 :] == labels]


def class_columns(scores: Array, labels: Array) -> Any:
    """Count the answers of each class.

    Args:
        scores: A score of each class: ``(n, classes)``, ``(n, classes, ...)`` or ``(n, steps, classes)``.
        labels: Whole numbers, shape ``(n,)`` or that of the scores without the classes. In maps of labels,
            :data:`IGNORED` does not count where it is no class.

    Returns:
        A sparse matrix of shape ``(n, 3 * classes)``: right, answered and labelled, for each class. NaN among the
        scores of a position is no answer.

    Raises:
        DataError: The labels do not fit the scores.
    """
    from scipy.sparse import csr_array

    labels = _one_axis(labels)
    is_map = labels.ndim > 1
    scores, labels = _aligned(scores, labels)
    classes = scores.shape[-1]
    counted = (labels != IGNORED) | (not is_map or classes > IGNORED)
    wrong = labels[counted & ((labels < 0) | (labels >= classes))]
    if wrong.size:
        raise DataError(
            f"label {wrong[0]} is none of the model's {classes} classes",
            remedy="use the labels that the model was trained with",
        )
    answers = np.where(np.isnan(scores).any(-1), classes, scores.argmax(-1))
    rows = np.zeros((len(labels), 3, classes))
    for row, answer, label, counts in zip(rows, answers, labels, counted, strict=True):
        found = (label[counts & (answer == label)], answer[counts], label[counts])
        row[:] = [np.bincount(part, minlength=classes)[:classes] for part in found]
    return csr_array(rows.reshape(len(labels), -1))


def _aligned(scores: Array, labels: Array) -> tuple[Array, Array]:
    """Scores of shape ``(n, positions, classes)`` and labels of shape ``(n, positions)``."""
    if labels.ndim == 1:
        scores = class_scores(scores)
    axes = class_axes(scores.shape, labels.shape)
    if len(axes) != 1 or labels.dtype.kind not in "iu":
        doubt = "; two axes could be the classes" if len(axes) > 1 else ""
        raise DataError(
            f"labels of shape {labels.shape} and type {labels.dtype} for outputs of shape {scores.shape}{doubt}",
            remedy="give one whole number for each position that the output scores",
        )
    moved = np.moveaxis(scores, axes[0], -1)
    return moved.reshape(len(labels), -1, moved.shape[-1]), labels.reshape(len(labels), -1).astype(np.int64)


def _one_axis(labels: Array) -> Array:
    """Labels of shape ``(n, 1)`` as ``(n,)``."""
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def macro_f1(sums: Matrix) -> Matrix:
    """Mean over classes of ``2 right / (answered + labelled)``; classes that are in neither are left out."""
    right, answered, labelled = np.split(sums, 3, axis=1)
    return _mean_ratio(2 * right, answered + labelled)


def micro_f1(sums: Matrix) -> Matrix:
    """F1 of all classes together: the share of positions that are right where every position has an answer."""
    right, answered, labelled = (part.sum(1, keepdims=True) for part in np.split(sums, 3, axis=1))
    return _mean_ratio(2 * right, answered + labelled)


def mean_iou(sums: Matrix) -> Matrix:
    """Mean over classes of intersection over union; classes that are in neither are left out."""
    right, answered, labelled = np.split(sums, 3, axis=1)
    return _mean_ratio(right, answered + labelled - right)


def _mean_ratio(parts: Matrix, wholes: Matrix) -> Matrix:
    there = wholes > 0
    ratios = np.where(there, parts / np.where(there, wholes, 1.0), 0.0)
    with np.errstate(invalid="ignore"):
        return np.asarray(ratios.sum(1) / there.sum(1))
