"""Choosing the range of an activation from its histogram.

* ``minmax``: all of it.
* ``percentile``: what is left when a share is cut from the tails.
* ``entropy``: the threshold whose quantized distribution has the least Kullback-Leibler divergence from the
  original one (S. Migacz, "8-bit inference with TensorRT", GTC 2017).
* ``mse``: the range whose rounding and clipping errors have the least mean square.

Every range holds zero, and none is wider than what was seen.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...calib_data.histograms import Histogram
from .options import Method

Range = tuple[float, float]
_Vector = npt.NDArray[np.float64]

_ENTROPY_CANDIDATES = 128
_MSE_STEPS = np.linspace(1.0, 0.1, 91)


def choose_range(
    histogram: Histogram,
    method: Method,
    *,
    percentile: float = 99.99,
    levels: int = 255,
    symmetric: bool = False,
) -> Range:
    """The range of an activation.

    Args:
        histogram: What was seen; at least one element.
        method: How to choose.
        percentile: For ``percentile``, the share in percent that stays.
        levels: Steps between the smallest and the largest integer.
        symmetric: Whether the range will be used symmetrically about zero.

    Returns:
        ``(low, high)`` with ``low <= 0 <= high``.
    """
    seen = (min(histogram.low, 0.0), max(histogram.high, 0.0))
    if seen == (0.0, 0.0) or method == "minmax":
        return seen
    if method == "percentile":
        chosen = _percentile(histogram, percentile, symmetric)
    elif method == "entropy":
        chosen = _entropy(histogram, levels)
    else:
        chosen = _least_squares(histogram, levels, symmetric)
    return max(chosen[0], seen[0]), min(chosen[1], seen[1])


def quantile(histogram: Histogram, share: float) -> float:
    """The value below which a share of the elements lies, linear within a bin.

    Args:
        histogram: What was seen.
        share: In [0, 1].
    """
    edges, counts = _with_zeros(histogram)
    cumulative = np.concatenate(([0.0], np.cumsum(counts)))
    return float(np.interp(share * cumulative[-1], cumulative, edges))


def _with_zeros(histogram: Histogram) -> tuple[_Vector, _Vector]:
    """Edges and counts with the zeros as a bin of no width."""
    half = histogram.bins // 2
    counts = np.insert(histogram.counts.astype(np.float64), half, histogram.zeros)
    return np.insert(histogram.edges, half, 0.0), counts


def _magnitudes(histogram: Histogram) -> _Vector:
    """Counts of absolute values; bin ``i`` holds ``[i w, (i + 1) w)``. Zeros are left out."""
    half = histogram.bins // 2
    both = histogram.counts[half:] + histogram.counts[:half][::-1]
    return both.astype(np.float64)


def _percentile(histogram: Histogram, percentile: float, symmetric: bool) -> Range:
    if symmetric:
        counts = np.concatenate(([histogram.zeros], _magnitudes(histogram)))
        edges = np.concatenate(([0.0], np.arange(len(counts)) * histogram.width))
        cumulative = np.concatenate(([0.0], np.cumsum(counts)))
        threshold = float(np.interp(percentile / 100 * cumulative[-1], cumulative, edges))
        return -threshold, threshold
    tail = (100.0 - percentile) / 200.0
    return min(quantile(histogram, tail), 0.0), max(quantile(histogram, 1.0 - tail), 0.0)


def _entropy(histogram: Histogram, levels: int) -> Range:
    """The threshold of least divergence on the distribution of magnitudes."""
    counts = _magnitudes(histogram)
    counts = counts[: int(np.flatnonzero(counts)[-1]) + 1]
    steps = levels if histogram.low >= 0.0 or histogram.high <= 0.0 else (levels + 1) // 2
    if len(counts) <= steps:
        return histogram.low, histogram.high
    widths = np.unique(np.linspace(steps, len(counts), _ENTROPY_CANDIDATES).astype(int))
    divergences = [_divergence(counts, int(width), steps) for width in widths]
    threshold = float(widths[int(np.argmin(divergences))]) * histogram.width
    return -threshold, threshold


def _divergence(counts: _Vector, width: int, steps: int) -> float:
    """``KL(P || Q)``: P is the first ``width`` bins with the rest clipped into the last, Q is P in ``steps`` levels."""
    kept = counts[:width]
    clipped = kept.copy()
    clipped[-1] += counts[width:].sum()
    level = np.minimum((np.arange(width) * steps) // width, steps - 1)
    occupied = kept > 0
    sums = np.bincount(level, weights=kept, minlength=steps)
    members = np.bincount(level, weights=occupied, minlength=steps)
    spread = np.where(occupied, (sums / np.maximum(members, 1))[level], 0.0)
    p, q = _smooth(clipped), _smooth(spread)
    used = p > 0
    return float(np.sum(p[used] * np.log(p[used] / q[used])))


def _smooth(counts: _Vector) -> _Vector:
    """A distribution without empty bins, so that the divergence is finite."""
    filled = np.where(counts > 0, counts, 1e-4)
    normalized: _Vector = filled / filled.sum()
    return normalized


def _least_squares(histogram: Histogram, levels: int, symmetric: bool) -> Range:
    """Shrink both ends together, then each alone, to the least mean square error."""
    counts, centres = histogram.counts.astype(np.float64), histogram.centres
    used = counts > 0
    counts, centres = counts[used], centres[used]
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    best = min(_MSE_STEPS, key=lambda s: _square_error(counts, centres, low * s, high * s, levels))
    low, high = low * best, high * best
    if symmetric:
        return low, high
    first = min(_MSE_STEPS, key=lambda s: _square_error(counts, centres, low * s, high, levels))
    last = min(_MSE_STEPS, key=lambda s: _square_error(counts, centres, low * first, high * s, levels))
    return low * first, high * last


def _square_error(counts: _Vector, centres: _Vector, low: float, high: float, levels: int) -> float:
    """Rounding costs a twelfth of the squared step inside the range, clipping its squared distance outside."""
    step = (high - low) / levels
    outside = np.maximum(centres - high, 0.0) + np.maximum(low - centres, 0.0)
    rounding = np.where(outside > 0.0, 0.0, step * step / 12)
    return float(np.sum(counts * (outside**2 + rounding)))
