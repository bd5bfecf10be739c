"""Choosing the integers of a weight so that the layer's output changes least.

Rounding a row ``w`` of a weight to ``s q`` costs ``(w - s q) G (w - s q)ᵀ`` of output energy, where ``G`` holds the
second moments of what the layer reads. Nearest integers ignore that inputs go together. Here columns are rounded one
after the other, those with most energy first, and what each has lost is taken over by the ones that follow
(Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", 2023, §3). Then
each integer is moved to the best one given all others until none moves (coordinate descent). A row that would be worse
than its nearest integers keeps those. A weight of zero stays zero.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

_RIDGE = 1e-2
"""Added to the moments' diagonal, as a share of its mean (the paper's dampening): few samples say little."""

_STRETCH = 128
"""Columns between two updates of all that follow."""

MOST_SWEEPS = 3
"""Sweeps of coordinate descent; few integers move after the first."""


def round_rows(
    weights: Matrix,
    scale: Matrix,
    gram: Matrix,
    bounds: tuple[int, int],
    *,
    sweeps: int = MOST_SWEEPS,
) -> npt.NDArray[np.int8]:
    """The integers of each row; groups are rounded apart.

    Args:
        weights: Shape ``(groups, rows, inputs)``.
        scale: Step of each row, shape ``(groups, rows)``.
        gram: Second moments of the inputs, shape ``(groups, inputs, inputs)``; about their mean where a bias takes
            up the mean error.
        bounds: The smallest and the largest integer.
        sweeps: Most sweeps of coordinate descent behind the sequential rounding.

    Returns:
        Integers of the weights' shape, in no row worse than the nearest ones under ``gram``.
    """
    energy = np.einsum("gii->gi", gram)
    order = np.argsort(-energy, axis=1, kind="stable")
    exact = weights / scale[:, :, None]
    nearest = np.clip(np.rint(exact), *bounds)
    found = np.empty_like(exact)
    np.put_along_axis(found, order[:, None], _search(exact, gram, order, bounds, sweeps), axis=2)
    return _better(exact, found, nearest, gram).astype(np.int8)


def _search(
    weights: Matrix, gram: Matrix, order: npt.NDArray[np.int64], bounds: tuple[int, int], sweeps: int
) -> Matrix:
    """Integers in the order given, for weights in steps."""
    exact = np.take_along_axis(weights, order[:, None], axis=2)
    damped = np.take_along_axis(np.take_along_axis(gram, order[:, :, None], 1), order[:, None], 2)
    diagonal = np.einsum("gii->gi", damped)
    diagonal += _ridge(diagonal)
    nearest, free = np.clip(np.rint(exact), *bounds), exact != 0.0
    found = _better(exact, _sequential(exact, damped, free, bounds), nearest, damped)
    for _ in range(sweeps):
        if not _descend(exact, found, damped, free, bounds):
            break
    return found


def row_errors(differences: Matrix, gram: Matrix) -> Matrix:
    """``d G dᵀ`` of each row, shape ``(groups, rows)``."""
    return np.asarray(((differences @ gram) * differences).sum(-1))


def _ridge(energy: Matrix) -> Matrix:
    """What is added to each diagonal; a group that never fires gets anything, for its order does not matter."""
    mean = energy.mean(axis=1, keepdims=True)
    return np.where(mean > 0.0, _RIDGE * mean, 1.0)


def _better(exact: Matrix, found: Matrix, nearest: Matrix, gram: Matrix) -> Matrix:
    """Row by row what costs less, nearest integers where they cost as much."""
    wins = row_errors(exact - found, gram) < row_errors(exact - nearest, gram)
    return np.where(wins[:, :, None], found, nearest)


def _sequential(exact: Matrix, gram: Matrix, free: npt.NDArray[np.bool_], bounds: tuple[int, int]) -> Matrix:
    """Round column by column; those that follow take over what a column has lost."""
    factor = np.linalg.cholesky(np.linalg.inv(gram)).transpose(0, 2, 1)
    work, found = exact.copy(), np.zeros_like(exact)
    for start in range(0, exact.shape[2], _STRETCH):
        end = min(start + _STRETCH, exact.shape[2])
        inner, local = factor[:, start:end, start:end], work[:, :, start:end]
        errors = np.zeros(local.shape)
        for column in range(end - start):
            rounded = np.clip(np.rint(local[:, :, column]), *bounds)
            rounded = np.where(free[:, :, start + column], rounded, 0.0)
            found[:, :, start + column] = rounded
            errors[:, :, column] = (local[:, :, column] - rounded) / inner[:, None, column, column]
            local[:, :, column:] -= errors[:, :, column, None] * inner[:, None, column, column:]
        work[:, :, end:] -= errors @ factor[:, start:end, end:]
    return found


def _descend(
    exact: Matrix, found: Matrix, gram: Matrix, free: npt.NDArray[np.bool_], bounds: tuple[int, int]
) -> bool:
    """Move each integer to the best one given all others, in place; whether any moved."""
    pull = (exact - found) @ gram
    before = found.copy()
    for start in range(0, exact.shape[2], _STRETCH):
        end = min(start + _STRETCH, exact.shape[2])
        inner, changes = gram[:, start:end, start:end], np.zeros((*exact.shape[:2], end - start))
        local = pull[:, :, start:end].copy()
        for column in range(end - start):
            now = found[:, :, start + column]
            best = np.clip(np.rint(now + local[:, :, column] / inner[:, None, column, column]), *bounds)
            change = np.where(free[:, :, start + column], best - now, 0.0)
            if change.any():
                changes[:, :, column] = change
                local -= change[:, :, None] * inner[:, None, column]
        found[:, :, start:end] += changes
        pull -= changes @ gram[:, start:end]
    return not np.array_equal(before, found)
