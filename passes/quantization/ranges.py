"""Choosing the range of an activation from its statistics.

* ``minmax``: all of it.
* ``moving-average``: the average of each sample's smallest and largest element.
* ``percentile``: what is left when a share is cut from the tails.
* ``entropy``: the threshold whose quantized distribution has the least Kullback-Leibler divergence from the
  original one (S. Migacz, "8-bit inference with TensorRT", GTC 2017, S7310), which is taken without its spikes.
* ``mse``: the range whose rounding and clipping errors have the least mean square.

Every range holds zero, and none is wider than what was seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ...calib_data.histograms import Histogram
from ...calib_data.statistics import ValueStatistics
from .options import Method

Range = tuple[float, float]
_Vector = npt.NDArray[np.float64]

_ENTROPY_CANDIDATES = 128
_MSE_SHARES = np.linspace(1.0, 0.1, 91)
_NEIGHBOURS = 16
"""Bins on each side of one that say how many elements it should hold."""

_SPIKE = 1.5
"""How many times as many elements as its neighbours a bin may hold before it is a spike."""

_EMPTY = 1e-4
"""Stands for an empty bin in a distribution, so that divergences are finite."""


def choose_range(
    statistics: ValueStatistics,
    method: Method,
    *,
    percentile: float = 99.99,
    levels: int = 255,
    symmetric: bool = False,
) -> Range:
    """The range of an activation.

    Args:
        statistics: What was seen.
        method: How to choose.
        percentile: For ``percentile``, the share in percent that stays.
        levels: Steps between the smallest and the largest integer.
        symmetric: Whether the range will be used symmetrically about zero.

    Returns:
        ``(low, high)`` with ``low <= 0 <= high``.
    """
    seen = (min(statistics.low, 0.0), max(statistics.high, 0.0))
    if seen == (0.0, 0.0):
        return seen
    choose: dict[str, Callable[[], Range]] = {
        "minmax": lambda: seen,
        "moving-average": lambda: (statistics.average_low, statistics.average_high),
        "percentile": lambda: _percentile(statistics.histogram, percentile, symmetric),
        "entropy": lambda: _entropy(statistics.histogram, levels, seen),
        "mse": lambda: _least_squares(statistics.histogram, levels, symmetric, seen),
    }
    low, high = choose[method]()
    return max(min(low, 0.0), seen[0]), min(max(high, 0.0), seen[1])


def quantile(histogram: Histogram, share: float) -> float:
    """The value below which a share of the elements lies, linear within a bin.

    Args:
        histogram: What was seen.
        share: In [0, 1].
    """
    edges, counts = _with_zeros(histogram)
    cumulative = _sums(counts)
    return float(np.interp(share * cumulative[-1], cumulative, edges))


def _sums(counts: npt.NDArray[Any]) -> _Vector:
    """What lies below each edge."""
    return np.concatenate(([0.0], np.cumsum(counts)))


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
        cumulative = _sums(counts)
        threshold = float(np.interp(percentile / 100 * cumulative[-1], cumulative, edges))
        return -threshold, threshold
    tail = (100.0 - percentile) / 200.0
    return quantile(histogram, tail), quantile(histogram, 1.0 - tail)


def _entropy(histogram: Histogram, levels: int, seen: Range) -> Range:
    """The threshold of least divergence on the distribution of magnitudes; what it would clip counts with its spikes."""
    counts = _magnitudes(histogram)
    used = np.flatnonzero(counts)
    steps = levels if seen[0] >= 0.0 or seen[1] <= 0.0 else (levels + 1) // 2
    if not used.size or used[-1] < steps:
        return seen
    counts = counts[: int(used[-1]) + 1]
    widths = np.unique(np.linspace(steps, len(counts), _ENTROPY_CANDIDATES).astype(int))
    above = counts.sum() - _sums(counts)[widths]
    found = divergences(without_spikes(counts), above, widths, steps)
    threshold = float(widths[int(np.argmin(found))]) * histogram.width
    return -threshold, threshold


def without_spikes(counts: _Vector) -> _Vector:
    """Counts of which none is far above the median of its neighbourhood.

    The background of images makes each channel a constant in places. Quantization moves such elements by half a step
    at most, as it does all others; but to the divergence a step that holds a spike and other bins looks nothing like
    the original, and the narrowest range, in which the spike has a step to itself, would be the best by far.

    Args:
        counts: Elements in each bin of magnitudes, from zero on. A bin that is not empty stays so.
    """
    around = np.pad(counts, _NEIGHBOURS, mode="symmetric")
    medians = np.median(np.lib.stride_tricks.sliding_window_view(around, 2 * _NEIGHBOURS + 1), axis=1)
    return np.minimum(counts, np.maximum(_SPIKE * medians, 1.0))


def divergences(counts: _Vector, above: _Vector, widths: npt.NDArray[np.int_], steps: int) -> _Vector:
    """``KL(P || Q)`` for each width: P is the first ``width`` bins with the rest clipped into the last, Q those bins in steps.

    Within a step, Q is the same in every bin that is not empty, so that sums over bins become differences of running
    sums at the edges of the steps. An empty bin counts :data:`_EMPTY` in both.

    Args:
        counts: Elements in each bin; the last is not empty.
        above: Elements that each width clips, shape ``(len(widths),)``.
        widths: How many bins stay, at least ``steps``.
        steps: Levels that they share.
    """
    below, filled = _sums(counts), _sums(counts > 0)
    logs = _sums(counts * np.log(np.maximum(counts, 1.0)))
    last, wide = counts[widths - 1], widths[:, None]
    clipped = above + last
    # A bin ``i`` belongs to step ``i * steps // width``.
    edges = -(-np.arange(steps + 1) * wide // steps)
    sums, members = np.diff(below[edges], axis=1), np.diff(filled[edges], axis=1)
    level = sums / np.maximum(members, 1.0)
    empty = widths - filled[widths]
    # The last bin is apart: what is clipped may fill it where it was empty.
    arises, stays = (last == 0) & (clipped > 0), last > 0
    total_p = below[widths] + above + _EMPTY * (empty - arises)
    total_q = below[widths] + _EMPTY * empty
    end = np.where(stays, level[:, -1], _EMPTY)
    own = logs[widths] - last * np.log(np.maximum(last, 1.0)) + clipped * np.log(np.maximum(clipped, 1.0))
    cross = np.sum(sums * np.log(np.where(sums > 0, level, 1.0)), axis=1)
    cross += clipped * np.log(end) - last * np.log(np.where(stays, end, 1.0))
    found: _Vector = (own - cross) / total_p + np.log(total_q / total_p)
    return found


def _least_squares(histogram: Histogram, levels: int, symmetric: bool, seen: Range) -> Range:
    """Of all pairs of ends, at hundredths of what was seen, the one of least mean square error.

    Rounding costs a twelfth of the squared step inside the range, clipping its squared distance outside; both come from
    running sums of the counts and of their first two moments.
    """
    counts, centres = histogram.counts.astype(np.float64), histogram.centres
    moments = [_sums(counts * centres**power) for power in range(3)]
    reach = max(-seen[0], seen[1])
    lows, highs = (
        _MSE_SHARES * (-reach if symmetric else seen[0]),
        _MSE_SHARES * (reach if symmetric else seen[1]),
    )
    below = np.searchsorted(centres, lows)
    above = np.searchsorted(centres, highs)
    under = _square_distance([m[below] for m in moments], lows)
    over = _square_distance([m[-1] - m[above] for m in moments], highs)
    if symmetric:
        step = (highs - lows) / levels
        inside = moments[0][above] - moments[0][below]
        best = int(np.argmin(under + over + inside * step * step / 12))
        return float(lows[best]), float(highs[best])
    step = (highs - lows[:, None]) / levels
    inside = np.maximum(moments[0][above] - moments[0][below][:, None], 0.0)
    error = under[:, None] + over + inside * step * step / 12
    first, last = np.unravel_index(int(np.argmin(error)), error.shape)
    return float(lows[first]), float(highs[last])


def _square_distance(moments: list[_Vector], end: _Vector) -> _Vector:
    """Summed squared distance from an end of elements with the given moments (of order 0, 1 and 2)."""
    return np.maximum(moments[2] - 2.0 * end * moments[1] + end * end * moments[0], 0.0)
