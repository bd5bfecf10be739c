"""A streaming histogram whose range doubles: bins merge exactly, and memory is bounded.

Bin ``k`` holds the values in ``[k w, (k + 1) w)`` for a width ``w`` that is a power of two. When a value falls
outside, the width doubles and bins ``2k`` and ``2k + 1`` become bin ``k``: every count stays in a bin that
contains its value, so the result is the same as if the final width had been known from the start, whatever the
order of the batches.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..core.tensors import Array

Counts = npt.NDArray[np.int64]

DEFAULT_BINS = 4096
"""Bins on both sides of zero together; a value of one sign uses at least a quarter of them."""

_SMALLEST_EXPONENT = -140

_CHUNK = 1 << 14
"""Elements sorted into bins at once: few enough that what is computed on the way stays in the cache."""


class Histogram:
    """Counts of a value's elements over bins of equal width around zero.

    Zeros are counted apart, because quantization represents them exactly.

    Args:
        bins: Number of bins, a multiple of 4, so that zero stays between two pairs.

    Attributes:
        low: Smallest element; ``inf`` before the first update.
        high: Largest element; ``-inf`` before the first update.
        zeros: Number of elements equal to zero; they are in no bin.
        width: Width of a bin; 0 before the first element that is not zero.
        counts: Elements in each bin, shape ``(bins,)``; bin ``i`` starts at ``(i - bins / 2) * width``.
    """

    def __init__(self, bins: int = DEFAULT_BINS) -> None:
        if bins < 4 or bins % 4:
            raise ValueError(f"bins must be a multiple of 4, not {bins}")
        self.bins = bins
        self.low = np.inf
        self.high = -np.inf
        self.zeros = 0
        self.width = 0.0
        self.counts: Counts = np.zeros(bins, np.int64)

    def update(self, array: Array) -> None:
        """Take one batch of finite numbers in."""
        if array.size:
            self.widen(float(array.min()), float(array.max()))
            self.add(array)

    def widen(self, low: float, high: float) -> None:
        """Hold numbers between two ends from now on, and take the ends for seen."""
        self.low, self.high = min(self.low, low), max(self.high, high)
        if max(-low, high) > 0.0:
            self._cover(low, high)

    def add(self, array: Array) -> None:
        """Sort numbers between the ends of :meth:`widen` into the bins."""
        flat = np.asarray(array).reshape(-1)
        zeros = flat.size - int(np.count_nonzero(flat))
        self.zeros += zeros
        if zeros == flat.size:
            return
        for start in range(0, flat.size, _CHUNK):
            # The width is a power of two and doubles are wide: the quotient is exact, and so is the bin.
            scaled = flat[start : start + _CHUNK].astype(np.float64)
            scaled *= 1.0 / self.width
            index = np.floor(scaled, out=scaled).astype(np.intp)
            index += self.bins // 2
            self.counts += np.bincount(index, minlength=self.bins)
        self.counts[self.bins // 2] -= zeros

    def memory_bytes(self, shape: tuple[int, ...]) -> int:
        """The counts, and a few numbers."""
        return 8 * self.bins + 64

    @property
    def total(self) -> int:
        """Number of elements seen."""
        return int(self.counts.sum()) + self.zeros

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        """Edges of the bins, shape ``(bins + 1,)``."""
        return (np.arange(self.bins + 1, dtype=np.float64) - self.bins // 2) * self.width

    @property
    def centres(self) -> npt.NDArray[np.float64]:
        """Centres of the bins, shape ``(bins,)``."""
        middles: npt.NDArray[np.float64] = self.edges[:-1] + self.width / 2
        return middles

    def _cover(self, low: float, high: float) -> None:
        """Widen the bins until they hold both ends."""
        half = self.bins // 2
        if not self.width:
            exponent = math.floor(math.log2(max(-low, high) / half))
            self.width = 2.0 ** max(exponent, _SMALLEST_EXPONENT)
        while low < -half * self.width or high >= half * self.width:
            pairs = self.counts.reshape(-1, 2).sum(1)
            self.counts = np.zeros(self.bins, np.int64)
            self.counts[half // 2 : half // 2 + half] = pairs
            self.width *= 2.0
