"""Intervals: every measured number comes with one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Matrix: TypeAlias = npt.NDArray[np.float64]

CONFIDENCE = 0.95
"""Confidence of every interval."""

RESAMPLES = 2000
"""Bootstrap resamples."""

_TOGETHER = 100
"""Resamples whose sums are held at once."""


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval.

    Attributes:
        value: The number.
        low: Lower end.
        high: Upper end.
        method: How the interval was made.
    """

    value: float
    low: float
    high: float
    method: str


def wilson(successes: int, trials: int) -> Interval:
    """The score interval of a share (E. B. Wilson, 1927).

    Args:
        successes: How many succeeded.
        trials: Out of how many, at least 1.
    """
    from scipy.stats import binomtest

    bounds = binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(successes / trials, float(bounds.low), float(bounds.high), "Wilson 95 %")


def bootstrap(columns: Any, statistic: Callable[[Matrix], Matrix], *, seed: int = 0) -> Interval:
    """The percentile bootstrap interval of a function of column sums (B. Efron, 1979).

    Args:
        columns: One row for each sample, shape ``(samples, columns)``; may be sparse.
        statistic: From sums over samples, shape ``(resamples, columns)``, to one number for each row.
        seed: Seed of the resampling.
    """
    value = figure_of(columns, statistic)
    low, high = percentiles(resample(columns, statistic, seed=seed))
    return Interval(value, low, high, f"bootstrap 95 %, {RESAMPLES} resamples")


def mean_of(sums: Matrix) -> Matrix:
    """The sum of the first column over that of the second; NaN where that is zero."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[:, 0] / sums[:, 1])


def stack(rows: Sequence[Any]) -> Any:
    """Columns of several batches under each other; sparse where they are."""
    if isinstance(rows[0], np.ndarray):
        return np.concatenate(rows)
    from scipy.sparse import vstack

    return vstack(rows, format="csr")


def figure_of(columns: Any, statistic: Callable[[Matrix], Matrix]) -> float:
    """The figure of all samples; see :func:`bootstrap` for the arguments."""
    return float(statistic(np.asarray(columns.sum(0)).reshape(1, -1))[0])


def resample(columns: Any, statistic: Callable[[Matrix], Matrix], *, seed: int = 0) -> Matrix:
    """The figures of samples drawn with replacement, shape ``(RESAMPLES,)``.

    The draws depend on the number of samples and the seed alone: two models on the same samples are drawn alike.
    """
    random = np.random.default_rng(seed)
    count = columns.shape[0]
    values = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, _TOGETHER):
        draws = (random.integers(0, count, count) for _ in range(min(_TOGETHER, RESAMPLES - start)))
        sums = np.stack([np.bincount(draw, minlength=count) @ columns for draw in draws])
        values[start : start + len(sums)] = statistic(sums)
    return values


def median_interval(values: Matrix, *, seed: int = 0) -> Interval:
    """The median with its percentile bootstrap interval.

    Args:
        values: The sample, shape ``(n,)``.
        seed: Seed of the resampling.
    """
    chosen = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = percentiles(np.median(values[chosen], axis=1))
    return Interval(float(np.median(values)), low, high, f"bootstrap 95 %, {RESAMPLES} resamples")


def paired_difference(first: Matrix, second: Matrix) -> Interval:
    """The difference of two shares of the same samples (A. Agresti and Y. Min, 2005).

    Half a sample is added to each cell of the 2 x 2 table, which keeps the interval honest when few samples
    differ; because the samples are the same, it is much narrower than two separate intervals suggest.

    Args:
        first: 1 where the first succeeded and 0 elsewhere, shape ``(n,)``.
        second: The same of the second.

    Returns:
        First minus second: how much is lost.
    """
    from scipy.stats import norm

    only_first = float(((first > 0.5) & (second <= 0.5)).sum()) + 0.5
    only_second = float(((second > 0.5) & (first <= 0.5)).sum()) + 0.5
    total = len(first) + 2
    center = (only_first - only_second) / total
    spread = math.sqrt((only_first + only_second) - (only_first - only_second) ** 2 / total) / total
    reach = float(norm.ppf(0.5 + CONFIDENCE / 2)) * spread
    value = float(first.mean() - second.mean())
    return Interval(value, max(center - reach, -1.0), min(center + reach, 1.0), "paired, Agresti-Min 95 %")


def jackknife(value: float, without: Matrix) -> Interval:
    """The delete-a-group jackknife interval of any statistic (M. Quenouille, 1956; J. Tukey, 1958).

    Args:
        value: The statistic of all samples.
        without: The statistic with each group of samples left out in turn, shape ``(groups,)``.
    """
    from scipy.stats import t

    groups = len(without)
    variance = (groups - 1) / groups * float(((without - without.mean()) ** 2).sum())
    reach = float(t.ppf(0.5 + CONFIDENCE / 2, groups - 1)) * math.sqrt(variance)
    return Interval(value, value - reach, value + reach, f"jackknife 95 %, {groups} groups")


def percentiles(values: Matrix) -> tuple[float, float]:
    """The middle 95 % of the values that are defined; infinite values are kept as they are."""
    kept = np.sort(values[~np.isnan(values)])
    if not kept.size:
        return math.nan, math.nan
    edge = (1 - CONFIDENCE) / 2
    last = len(kept) - 1
    return float(kept[math.floor(edge * last)]), float(kept[math.ceil((1 - edge) * last)])
