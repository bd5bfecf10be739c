"""Scales of weights with the least mean square error.

The largest weight of a channel alone decides its scale otherwise. A smaller scale clips few weights and resolves
all the others better; where it pays, and how far, is found by trying: a coarse grid, then a fine one about the best.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...core.tensors import Array
from .parameters import EIGHT_BITS, SCALE_FLOOR, Vector, weight_scales

_COARSE = np.linspace(1.0, 0.3, 29)
_FINE = np.linspace(-0.02, 0.02, 9)
_HELD_ELEMENTS = 1 << 20
"""Weights that are tried at once; more are taken in several parts."""


def least_square_scales(
    weight: Array,
    axis: int | None,
    bounds: tuple[int, int] = EIGHT_BITS,
    *,
    importance: Array | None = None,
) -> tuple[Vector, int]:
    """The scale of each channel (or of the whole weight) with the least square error, and how many were floored.

    No scale is larger than that of :func:`~.parameters.weight_scales`, and no error either.

    Args:
        weight: Finite numbers.
        axis: The axis of the channels, or None for one scale.
        bounds: The smallest and the largest integer.
        importance: What the squared error of each weight counts, of a shape that broadcasts to the weight's: the
            mean square of the input that it multiplies, for one.
    """
    largest, floored = weight_scales(weight, axis, bounds)
    rows = _as_rows(weight, axis)
    counts = None if importance is None else _as_rows(np.broadcast_to(importance, weight.shape), axis)
    scales = np.atleast_1d(largest).astype(np.float64)
    found = scales.copy()
    step = max(1, _HELD_ELEMENTS // max(rows.shape[1], 1))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        some = None if counts is None else counts[part].astype(np.float64)
        found[part] = _search(rows[part].astype(np.float64), some, scales[part], bounds)
    return (found if axis is not None else found[0]), floored


def _as_rows(array: Array, axis: int | None) -> Array:
    """Shape ``(channels, weights of one)``."""
    return (
        array.reshape(1, -1) if axis is None else np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
    )


def _search(rows: Vector, counts: Vector | None, scales: Vector, bounds: tuple[int, int]) -> Vector:
    best, least = np.ones(len(rows)), _errors(rows, counts, scales, bounds)
    for grid in (_COARSE, _FINE):
        centre = best if grid is _FINE else np.zeros(len(rows))
        for step in grid:
            share = np.minimum(centre + step, 1.0)
            errors = _errors(rows, counts, scales * share, bounds)
            best, least = np.where(errors < least, share, best), np.minimum(errors, least)
    return np.maximum(scales * best, SCALE_FLOOR)


def _errors(rows: Vector, counts: Vector | None, scales: Vector, bounds: tuple[int, int]) -> Vector:
    """The square error of each row."""
    # As it will be: scales are written in single precision.
    single: npt.NDArray[np.float64] = scales.astype(np.float32).astype(np.float64)[:, None]
    error = np.clip(np.rint(rows / single), *bounds) * single - rows
    error *= error
    return np.asarray((error if counts is None else error * counts).sum(1))
