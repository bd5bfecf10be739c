"""Whether a difference between two models on the same samples is real, or what chance would do as well."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .intervals import (
    CONFIDENCE,
    RESAMPLES,
    Interval,
    Matrix,
    figure_of,
    jackknife,
    paired_difference,
    percentiles,
    resample,
)


@dataclass(frozen=True)
class DropTest:
    """A paired test of the difference between two models.

    Attributes:
        method: The test.
        p_value: How often chance alone would make a difference at least as large.
        lost: Samples that only the first model has right; None where samples are not right or wrong.
        gained: Samples that only the second model has right.
        verdict: ``real`` where the p-value is below 5 %.
    """

    method: str
    p_value: float
    lost: int | None
    gained: int | None
    verdict: Literal["real", "no difference"]


def compare_shares(first: Matrix, second: Matrix) -> tuple[Interval, DropTest]:
    """What is lost of a share, and the exact test of Q. McNemar (1947).

    Samples on which both models are right or both are wrong say nothing; of the others, each model alone should have
    about half right. The exact binomial probability is taken however many they are.

    Args:
        first: 1 where the first model is right and 0 elsewhere, shape ``(n,)``.
        second: The same of the second model.

    Returns:
        First minus second with its interval, and the test.
    """
    from scipy.stats import binomtest

    lost = int(((first > 0.5) & (second <= 0.5)).sum())
    gained = int(((second > 0.5) & (first <= 0.5)).sum())
    p_value = float(binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0
    test = DropTest("McNemar, exact binomial", p_value, lost, gained, _verdict(p_value))
    return paired_difference(first, second), test


def compare_figures(
    first: Any, second: Any, statistic: Callable[[Matrix], Matrix], *, higher_is_better: bool, seed: int = 0
) -> tuple[Interval, DropTest]:
    """What is lost of any other figure, by the paired bootstrap (B. Efron and R. Tibshirani, 1993, chapter 16).

    Both figures are taken anew of the same drawn samples; the p-value is twice the share of draws on the rarer side
    of zero, where draws without a difference count on both.

    Args:
        first: The first model's columns, as in :func:`~sardonyx.runtime.intervals.bootstrap`.
        second: The second model's.
        statistic: From sums of columns to the figure.
        higher_is_better: Whether less of the figure is a loss.
        seed: Seed of the draws.

    Returns:
        How much worse the second is with its interval, and the test.
    """
    sign = 1.0 if higher_is_better else -1.0
    with np.errstate(invalid="ignore"):
        value = sign * (figure_of(first, statistic) - figure_of(second, statistic))
        drawn = sign * (resample(first, statistic, seed=seed) - resample(second, statistic, seed=seed))
    drawn = drawn[~np.isnan(drawn)]
    rarer = min((drawn <= 0).sum(), (drawn >= 0).sum())
    p_value = min(1.0, 2.0 * (1 + int(rarer)) / (1 + len(drawn)))
    low, high = percentiles(drawn)
    interval = Interval(value, low, high, f"paired bootstrap 95 %, {RESAMPLES} resamples")
    return interval, DropTest("paired bootstrap", p_value, None, None, _verdict(p_value))


def compare_jackknifed(
    values: tuple[float, float], first: Matrix, second: Matrix, *, higher_is_better: bool
) -> tuple[Interval, DropTest]:
    """What is lost of a figure of which no columns are known, by the paired jackknife.

    Args:
        values: Both figures of all samples.
        first: The first model's figure with each group of samples left out in turn, shape ``(groups,)``.
        second: The second model's, of the same groups.
        higher_is_better: Whether less of the figure is a loss.

    Returns:
        How much worse the second is with its interval, and the test by Student's t.
    """
    from scipy.stats import t

    sign = 1.0 if higher_is_better else -1.0
    interval = jackknife(sign * (values[0] - values[1]), sign * (first - second))
    groups = len(first)
    error = (interval.high - interval.value) / float(t.ppf(0.5 + CONFIDENCE / 2, groups - 1))
    if error > 0:
        p_value = 2.0 * float(t.sf(abs(interval.value) / error, groups - 1))
    else:
        p_value = 1.0 if math.isclose(interval.value, 0.0, abs_tol=1e-12) else 0.0
    test = DropTest(f"paired jackknife, {groups} groups", p_value, None, None, _verdict(p_value))
    return interval, test


def _verdict(p_value: float) -> Literal["real", "no difference"]:
    return "real" if p_value < 1 - CONFIDENCE else "no difference"
