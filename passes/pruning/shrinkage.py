"""How far a regression of what is cut on what stays may be trusted: chosen on samples held out from it.

With few samples, inputs that merely happen to vary together look as if one could stand in for the other. A ridge
shrinks what they take over. It is chosen by cutting half of the inputs on trial: the ridge under which the others
predict them best, on samples that the regression has not seen.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.linalg

Matrix = npt.NDArray[np.float64]

RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Ridges that are tried, as shares of the moments' mean diagonal."""

UNTESTED = 1e-2
"""The ridge where there are too few samples to hold any out."""

_MOST_PREDICTORS = 768
_MOST_TARGETS = 256


def ridged(moments: Matrix, ridge: float) -> Matrix:
    """Moments with a share of their mean diagonal added to the diagonal, which keeps the inverse sound."""
    mean = float(np.trace(moments)) / max(len(moments), 1)
    return moments + np.eye(len(moments)) * (ridge * mean + 1e-12)


def predict(moments: Matrix, keep: npt.NDArray[np.bool_], ridge: float) -> Matrix:
    """Coefficients by which the inputs that stay predict those that go, shape ``(kept, gone)``.

    Regression under a ridge, followed by one on what it has left over (iterated Tikhonov regularisation): what the
    samples determine well is then not shrunk at all, and an input that repeats another is replaced exactly. Where rounding
    leaves the moments without positive eigenvalues under that ridge, it is raised tenfold until they have them.

    Args:
        moments: Of all inputs, shape ``(inputs, inputs)``.
        keep: Which of them stay.
        ridge: As a share of the moments' mean diagonal.
    """
    inner, across = moments[np.ix_(keep, keep)], moments[np.ix_(keep, ~keep)]
    mean = float(np.trace(moments)) / max(len(moments), 1)
    factor = _factor(inner, ridge * mean + 1e-12)
    first = scipy.linalg.cho_solve(factor, across)
    found: Matrix = first + scipy.linalg.cho_solve(factor, across - inner @ first)
    return found


def _factor(moments: Matrix, ridge: float) -> tuple[Matrix, bool]:
    """The Cholesky factor under the smallest ridge, in steps of ten, that allows one.

    Raises:
        LinAlgError: None does: the moments are not those of finite numbers.
    """
    largest = max(float(np.abs(moments).max(initial=0.0)), ridge) * len(moments)
    while True:
        try:
            factor: tuple[Matrix, bool] = scipy.linalg.cho_factor(moments + np.eye(len(moments)) * ridge)
        except np.linalg.LinAlgError:
            if not ridge <= largest:
                raise
            ridge *= 10.0
        else:
            return factor


def best_ridge(fit: Matrix, judge: Matrix, weights: Matrix, random: np.random.Generator) -> float:
    """The ridge under which half of the inputs predict the others best.

    Args:
        fit: Moments from the samples that the regression may see.
        judge: Moments from those that it may not.
        weights: What the inputs are multiplied with, shape ``(inputs, outputs)``: an error counts by its weight.
        random: Chooses the halves.
    """
    if len(fit) < 2:
        return UNTESTED
    order = random.permutation(len(fit))
    keep = np.zeros(len(fit), dtype=bool)
    keep[order[: len(fit) // 2]] = True
    considered = np.zeros(len(fit), dtype=bool)
    considered[order[: len(fit) // 2][:_MOST_PREDICTORS]] = True
    considered[order[len(fit) // 2 :][:_MOST_TARGETS]] = True
    fit, judge = fit[np.ix_(considered, considered)], judge[np.ix_(considered, considered)]
    keep, energy = keep[considered], (weights[considered] ** 2).sum(1)
    errors = []
    for ridge in RIDGES:
        share = predict(fit, keep, ridge)
        inner, across = judge[np.ix_(keep, keep)], judge[np.ix_(keep, ~keep)]
        left = np.diag(judge)[~keep] - 2 * (share * across).sum(0) + (share * (inner @ share)).sum(0)
        errors.append(float(left @ energy[~keep]))
    return RIDGES[int(np.argmin(errors))]
