"""Streaming statistics of a value: what is kept does not grow with the number of samples."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..core.tensors import Array

Vector = npt.NDArray[np.float64]


class Observer(Protocol):
    """Something that sees every batch of one value and keeps a bounded summary."""

    def update(self, array: Array) -> None:
        """Take one batch in."""
        ...

    def memory_bytes(self, shape: tuple[int, ...]) -> int:
        """How much it keeps for a value of this shape (one sample)."""
        ...


class MinMax:
    """The smallest and the largest element.

    Attributes:
        low: Smallest element; ``inf`` before the first update.
        high: Largest element; ``-inf`` before the first update.
    """

    def __init__(self) -> None:
        self.low = np.inf
        self.high = -np.inf

    def update(self, array: Array) -> None:
        """Take one batch in."""
        if array.size:
            self.low = min(self.low, float(array.min()))
            self.high = max(self.high, float(array.max()))

    def memory_bytes(self, shape: tuple[int, ...]) -> int:
        """Two numbers."""
        return 16


class Moments:
    """Mean, variance, mean absolute value and share of zeros of each index of an axis.

    Args:
        axis: The axis whose indices are told apart.
    """

    def __init__(self, axis: int = 1) -> None:
        self.axis = axis
        self.count = 0
        self._sum = self._square = self._absolute = self._zeros = np.zeros(0)

    def update(self, array: Array) -> None:
        """Take one batch in."""
        rows = rows_of(array, self.axis)
        sums = (rows.sum(0), (rows * rows).sum(0), np.abs(rows).sum(0), (rows <= 0).sum(0).astype(np.float64))
        if not self.count:
            self._sum, self._square, self._absolute, self._zeros = sums
        else:
            self._sum += sums[0]
            self._square += sums[1]
            self._absolute += sums[2]
            self._zeros += sums[3]
        self.count += len(rows)

    def memory_bytes(self, shape: tuple[int, ...]) -> int:
        """Four numbers for each index."""
        return 32 * shape[self.axis]

    @property
    def mean(self) -> Vector:
        """Mean of each index, shape ``(channels,)``."""
        return self._of(self._sum)

    @property
    def variance(self) -> Vector:
        """Variance of each index, shape ``(channels,)``."""
        return np.maximum(self._of(self._square) - self.mean**2, 0.0)

    @property
    def mean_absolute(self) -> Vector:
        """Mean absolute value of each index, shape ``(channels,)``."""
        return self._of(self._absolute)

    @property
    def zero_share(self) -> Vector:
        """Share of elements that are not positive (APoZ), shape ``(channels,)``."""
        return self._of(self._zeros)

    def _of(self, total: Vector) -> Vector:
        if not self.count:
            raise ValueError("no batch was observed")
        return total / self.count


class Gram:
    """Second moments ``E[x xᵀ]`` and mean ``E[x]`` of the vectors along an axis.

    Every position of the other axes counts as one vector. Where a batch holds more than ``rows`` of them, a
    seeded choice of that many stands for it.

    Args:
        axis: The axis that holds the vectors.
        rows: Most vectors taken from one batch.
        seed: Seed of the choice.
    """

    def __init__(self, axis: int = 1, rows: int = 65536, seed: int = 0) -> None:
        self.axis = axis
        self.rows = rows
        self.count = 0
        self._random = np.random.default_rng(seed)
        self._second = np.zeros((0, 0))
        self._first = np.zeros(0)

    def update(self, array: Array) -> None:
        """Take one batch in."""
        moved = self._vectors(array)
        second = (moved.T @ moved).astype(np.float64)
        first = moved.sum(0, dtype=np.float64)
        if not self.count:
            self._second, self._first = second, first
        else:
            self._second += second
            self._first += first
        self.count += len(moved)

    def _vectors(self, array: Array) -> npt.NDArray[np.float32]:
        """All vectors of a batch, or the choice that stands for them, shape ``(vectors, channels)``."""
        moved = np.moveaxis(array, self.axis, -1)
        positions = moved.size // max(moved.shape[-1], 1)
        if positions > self.rows:
            # Picked through the view: copying a whole feature map to keep a part of it would cost more.
            chosen = np.sort(self._random.choice(positions, self.rows, replace=False))
            moved = moved[np.unravel_index(chosen, moved.shape[:-1])]
        return np.ascontiguousarray(moved.reshape(-1, moved.shape[-1]), dtype=np.float32)

    def memory_bytes(self, shape: tuple[int, ...]) -> int:
        """One square matrix of doubles."""
        return 8 * shape[self.axis] ** 2

    @property
    def second_moment(self) -> npt.NDArray[np.float64]:
        """``E[x xᵀ]``, shape ``(channels, channels)``."""
        if not self.count:
            raise ValueError("no batch was observed")
        return self._second / self.count

    @property
    def mean(self) -> Vector:
        """``E[x]``, shape ``(channels,)``."""
        if not self.count:
            raise ValueError("no batch was observed")
        return self._first / self.count

    @property
    def covariance(self) -> npt.NDArray[np.float64]:
        """``E[x xᵀ] - μ μᵀ``, shape ``(channels, channels)``."""
        return self.second_moment - np.outer(self.mean, self.mean)


def rows_of(array: Array, axis: int) -> npt.NDArray[np.float64]:
    """View an array as vectors along an axis, shape ``(positions, channels)``."""
    return np.moveaxis(array, axis, -1).reshape(-1, array.shape[axis]).astype(np.float64)
