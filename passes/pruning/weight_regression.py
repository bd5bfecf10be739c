"""Zeroing weights of a matrix one column after the other, while those that follow take over.

Optimal Brain Surgeon for one weight at a time, in the order of the columns, so that one factor of the inverse serves
all rows (Frantar & Alistarh, SparseGPT, 2023, §3). Columns are handled in stretches: what a stretch has lost reaches
the columns behind it in one product.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import scipy.linalg

from .shrinkage import ridged
from .sparsity import Mask, Pattern

Matrix = npt.NDArray[np.float64]

_RIDGE = 1e-2
"""Added to the moments' diagonal, as a share of its mean (the paper's dampening)."""

_STRETCH = 128


def saliency(weights: Matrix, gram: Matrix) -> Matrix:
    """What the output loses without one weight, after the others of its row have taken over (Hassibi & Stork, 1993).

    Args:
        weights: Shape ``(outputs, inputs)``.
        gram: Second moments of the inputs.
    """
    inverse = np.linalg.inv(ridged(gram, _RIDGE))
    worth: Matrix = weights**2 / np.maximum(np.diag(inverse), 1e-30)
    return worth


def weigh(criterion: str, weights: Matrix, gram: Matrix | None) -> Matrix:
    """What each weight is worth, shape ``(outputs, inputs)``.

    Args:
        criterion: ``magnitude`` (Han et al., 2015), ``wanda`` (weight times the norm of its input; Sun et al., 2023)
            or ``second-order``.
        weights: Shape ``(outputs, inputs)``.
        gram: Second moments of the inputs; ``magnitude`` needs none.
    """
    if criterion == "magnitude" or gram is None:
        return np.abs(weights)
    if criterion == "wanda":
        return np.abs(weights) * np.sqrt(np.maximum(np.diag(gram), 0.0))
    return saliency(weights, gram)


def compensated(
    weights: Matrix, gram: Matrix, pattern: Pattern, ratio: float, mask: Mask | None
) -> tuple[Matrix, Mask]:
    """Zero weights and let those behind them in the row take over.

    Args:
        weights: Shape ``(outputs, inputs)``.
        gram: Second moments of the inputs.
        pattern: Where zeros may stand.
        ratio: Share of the weights that go.
        mask: Which weights stay; None chooses stretch by stretch, by what each is worth by then.

    Returns:
        The new weights, and the mask.
    """
    factor = scipy.linalg.cholesky(np.linalg.inv(ridged(gram, _RIDGE)), lower=False)
    work, keep = weights.copy(), np.ones(weights.shape, dtype=bool) if mask is None else mask.copy()
    stretch = _STRETCH - _STRETCH % pattern.span or pattern.span
    for start in range(0, weights.shape[1], stretch):
        end = min(start + stretch, weights.shape[1])
        inner = factor[start:end, start:end]
        if mask is None:
            keep[:, start:end] = pattern.choose((work[:, start:end] / np.diag(inner)) ** 2, ratio)
        errors = np.zeros((len(work), end - start))
        for column in range(end - start):
            place = start + column
            errors[:, column] = np.where(keep[:, place], 0.0, work[:, place]) / inner[column, column]
            work[:, place:end] -= np.outer(errors[:, column], inner[column, column:])
            work[~keep[:, place], place] = 0.0
        work[:, end:] -= errors @ factor[start:end, end:]
    return work, keep


def energy(weights: Matrix, gram: Matrix | None) -> float:
    """Mean squared output, what worths of different layers are measured against; 1 without moments."""
    return 1.0 if gram is None else max(float((weights @ gram * weights).sum()), math.ulp(1.0))
