"""Metrics of models that answer with numbers: mean absolute error, root mean square error, and R²."""

from __future__ import annotations

import numpy as np

from ..core.errors import DataError, ExpectationError, LimitError, ModelError
from ..core.tensors import Array, Feed
from .intervals import Matrix

MOST_TARGETS = 4096
"""R² looks at every number of an answer by itself; more of them than this are refused."""

_CONSTANT = 1e-12
"""Labels that vary by less than this share of their energy are constant, up to rounding."""


def pick_numbers(outputs: Feed, named: str | None, labels: Array) -> str:
    """Choose the output that holds as many numbers for each sample as the labels.

    Args:
        outputs: The outputs of one batch.
        named: The output the user named, or None.
        labels: Labels of the batch, shape ``(n, ...)``.

    Raises:
        ModelError: There is no such output.
    """
    if named is not None and named not in outputs:
        raise ModelError(f"the model has no output {named!r}", remedy=f"it has: {', '.join(outputs)}")
    wanted = _flat_shape(labels)
    for name, array in outputs.items():
        if name == named or (named is None and array.dtype.kind == "f" and _flat_shape(array) == wanted):
            return name
    shapes = ", ".join(f"{name} {array.shape}" for name, array in outputs.items())
    raise ModelError(
        f"no output has the {wanted[-1]} numbers a sample that the labels have: {shapes}",
        remedy="give labels of the output's shape, or name the output",
    )


def _flat_shape(array: Array) -> tuple[int, ...]:
    """Samples, and numbers of each."""
    return (len(array), int(np.prod(array.shape[1:]))) if array.ndim else (0, 1)


def absolute_columns(values: Array, labels: Array) -> Matrix:
    """Mean absolute error of each sample, and 1: shape ``(n, 2)``."""
    return _mean_columns(np.abs(_errors(values, labels)))


def square_columns(values: Array, labels: Array) -> Matrix:
    """Mean square error of each sample, and 1: shape ``(n, 2)``."""
    return _mean_columns(_errors(values, labels) ** 2)


def variance_columns(values: Array, labels: Array) -> Matrix:
    """What R² needs of each sample: 1, and of each number the squared error, the label and its square.

    Returns:
        Shape ``(n, 1 + 3 * numbers)``.

    Raises:
        LimitError: An answer holds more than :data:`MOST_TARGETS` numbers.
    """
    errors = _errors(values, labels)
    if errors.shape[1] > MOST_TARGETS:
        raise LimitError(
            f"r2 of {errors.shape[1]} numbers a sample, at most {MOST_TARGETS} are taken",
            remedy="use rmse or mae",
        )
    flat = labels.reshape(errors.shape).astype(np.float64)
    return np.concatenate([np.ones((len(flat), 1)), errors**2, flat, flat**2], axis=1)


def root_mean(sums: Matrix) -> Matrix:
    """Root of the mean over samples."""
    return np.asarray(np.sqrt(sums[:, 0] / sums[:, 1]))


def r_squared(sums: Matrix) -> Matrix:
    """``1 - squared error / squared distance from the labels' mean``, the mean of it over the numbers of an answer.

    NaN where a label is constant: nothing is there to be explained.
    """
    errors, labels, squares = np.split(sums[:, 1:], 3, axis=1)
    spread = squares - labels**2 / sums[:, :1]
    varies = spread > _CONSTANT * squares
    ratios = np.where(varies, 1.0 - errors / np.where(varies, spread, 1.0), np.nan)
    return np.asarray(ratios.mean(1))


def _mean_columns(values: Matrix) -> Matrix:
    return np.stack([values.mean(1), np.ones(len(values))], axis=1)


def _errors(values: Array, labels: Array) -> Matrix:
    """Answers minus labels, one row for each sample."""
    if labels.dtype.kind not in "iufb" or not np.isfinite(labels).all():
        raise DataError(
            f"labels of type {labels.dtype} are no finite numbers", remedy="give one number for each answer"
        )
    if _flat_shape(values) != _flat_shape(labels):
        raise DataError(
            f"labels of shape {labels.shape} for outputs of shape {values.shape}",
            remedy="give one number for each number of the output",
        )
    if not np.isfinite(values).all():
        raise ExpectationError(
            "an answer is NaN or infinite", remedy="find the first node that is so with compare --drift"
        )
    difference = values.reshape(len(values), -1).astype(np.float64) - labels.reshape(len(labels), -1)
    return np.asarray(difference)
