"""Ridge regression towards the weights that are there, from streamed moments, with the ridge chosen on held-out rows.

Every problem may hold several blocks that are solved apart (the groups of a grouped convolution).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]
"""Vectors by block, shape ``(rows, blocks, features)``."""

RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridges that are tried, as shares of the features' mean energy."""


class Moments:
    """Joint moments of features and targets, brought up to date batch by batch.

    Attributes:
        count: Rows seen.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sums: tuple[Matrix, ...] = ()

    def update(self, features: Rows, targets: Rows) -> None:
        """Take rows in; both of shape ``(rows, blocks, n)``."""
        # In double precision: means are taken out of the moments later on, which leaves little of a single.
        x, t = (rows.astype(np.float64).transpose(1, 0, 2) for rows in (features, targets))
        across = x.transpose(0, 2, 1)
        fresh = (across @ x, across @ t, x.sum(1), t.sum(1), (t * t).sum((1, 2)))
        self._sums = tuple(map(np.add, self._sums, fresh)) if self._sums else fresh
        self.count += len(features)

    def centred(self, *, about_mean: bool) -> Problem:
        """What was seen, as means; about the mean where a bias takes that up."""
        gram, cross, first, target, energy = (part / max(self.count, 1) for part in self._sums)
        if not about_mean:
            return Problem(gram, cross, np.zeros_like(first), np.zeros_like(target), energy)
        return Problem(
            gram - first[:, :, None] * first[:, None, :],
            cross - first[:, :, None] * target[:, None, :],
            first,
            target,
            energy - (target * target).sum(1),
        )


@dataclass(frozen=True)
class Problem:
    """Moments of a regression.

    Attributes:
        gram: ``E[x xᵀ]``, shape ``(blocks, features, features)``.
        cross: ``E[x tᵀ]``, shape ``(blocks, features, targets)``.
        mean: ``E[x]``, shape ``(blocks, features)``; zero where moments are not about the mean.
        target_mean: ``E[t]``, shape ``(blocks, targets)``.
        energy: ``E[tᵀt]``, shape ``(blocks,)``.
    """

    gram: Matrix
    cross: Matrix
    mean: Matrix
    target_mean: Matrix
    energy: Matrix

    def solve(self, start: Matrix, ridge: float) -> Matrix:
        """Weights of shape ``(blocks, features, targets)`` that fit best, held back towards ``start``."""
        found = start.copy()
        for block, gram in enumerate(self.gram):
            scale = float(np.trace(gram)) / len(gram)
            if scale <= 0:
                continue  # inputs that never stir teach nothing
            damped = gram + np.eye(len(gram)) * (ridge * scale)
            residual = self.cross[block] - gram @ start[block]
            found[block] += scipy.linalg.solve(damped, residual, assume_a="pos")
        return found

    def shift(self, weights: Matrix) -> Matrix:
        """The bias that belongs to weights, shape ``(blocks, targets)``."""
        return np.asarray(self.target_mean - np.einsum("bf,bft->bt", self.mean, weights), np.float64)

    def error(self, weights: Matrix, shift: Matrix) -> float:
        """Mean squared difference from the targets, as a share of their energy (about the mean, if that is out)."""
        offset = np.einsum("bf,bft->bt", self.mean, weights) + shift - self.target_mean
        squared = (
            self.energy.sum()
            - 2 * (weights * self.cross).sum()
            + (weights * (self.gram @ weights)).sum()
            + (offset * offset).sum()
        )
        return float(squared) / max(float(self.energy.sum()), 1e-30)


@dataclass(frozen=True)
class Fit:
    """The best weights found.

    Attributes:
        weights: Shape ``(blocks, features, targets)``.
        shift: The bias, shape ``(blocks, targets)``.
        error: On held-out rows, as a share of the targets' energy.
        ridge: The ridge that was chosen.
    """

    weights: Matrix
    shift: Matrix
    error: float
    ridge: float


def best_fit(fit: Problem, judge: Problem, start: Matrix) -> Fit:
    """Solve with every ridge on some rows, and take the one that others like best.

    Args:
        fit: Moments of the rows to fit.
        judge: Moments of the rows held out.
        start: The weights to begin with.
    """
    fits = []
    for ridge in RIDGES:
        weights = fit.solve(start, ridge)
        shift = fit.shift(weights)
        fits.append(Fit(weights, shift, judge.error(weights, shift), ridge))
    return min(fits, key=lambda f: f.error)
