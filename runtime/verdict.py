"""Whether a difference in latency is real: only where it is larger than chance and than the machine's noise."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from .intervals import Interval, Matrix, median_interval

Verdict = Literal["faster", "slower", "no difference", "baseline"]
"""What may be said of a candidate."""

WIDE_SPREAD = 0.25
"""Above this relative spread of one candidate's samples, a warning says that the machine was not quiet."""

_HALVES = 400


def speed_ratio(baseline_ms: Matrix, candidate_ms: Matrix, *, seed: int = 0) -> Interval:
    """How many times faster a candidate is, paired by round.

    Args:
        baseline_ms: Samples of the baseline, shape ``(rounds,)``.
        candidate_ms: Samples of the candidate in the same rounds.
        seed: Seed of the bootstrap.

    Returns:
        The median of the ratios within rounds (above 1 is faster), with its bootstrap interval.
    """
    return median_interval(baseline_ms / candidate_ms, seed=seed)


def noise_ratio(baseline_ms: Matrix, twin_ms: Matrix | None = None, *, seed: int = 0) -> float:
    """How large a difference means nothing here, because the baseline differs from itself by as much.

    Two measures, of which the larger counts: how far two halves of the baseline's own samples differ, and how
    far the interval of a twin (the same model, opened a second time and timed as a candidate) reaches from 1.

    Args:
        baseline_ms: Samples of the baseline, shape ``(rounds,)``.
        twin_ms: Samples of its twin in the same rounds, or None.
        seed: Seed of the splits and of the bootstrap.

    Returns:
        A ratio minus 1; 0 or more.
    """
    logs = [_halves_log(baseline_ms, seed)]
    if twin_ms is not None:
        twin = speed_ratio(baseline_ms, twin_ms, seed=seed)
        logs += [abs(math.log(twin.low)), abs(math.log(twin.high))]
    return math.exp(max(logs)) - 1.0


def judge(ratio: Interval, noise: float) -> Verdict:
    """Say whether a candidate is faster or slower.

    Args:
        ratio: How many times faster it is, with its interval.
        noise: The difference that means nothing, as a ratio minus 1.

    Returns:
        A direction only where the whole interval is outside the noise.
    """
    if ratio.low > 1.0 + noise:
        return "faster"
    if ratio.high < 1.0 / (1.0 + noise):
        return "slower"
    return "no difference"


def spread_ratio(times_ms: Matrix) -> float:
    """Distance between the quartiles over the median."""
    low, middle, high = np.quantile(times_ms, (0.25, 0.5, 0.75))
    return float((high - low) / middle)


def _halves_log(times_ms: Matrix, seed: int) -> float:
    """95th percentile over random splits of the log ratio of the halves' medians.

    Halves scatter by the square root of 2 more than whole samples do, which is taken out.
    """
    random = np.random.default_rng(seed)
    half = len(times_ms) // 2
    order = random.permuted(np.tile(np.arange(len(times_ms)), (_HALVES, 1)), axis=1)
    first, second = (np.median(times_ms[part], axis=1) for part in (order[:, :half], order[:, half:]))
    return float(np.quantile(np.abs(np.log(first / second)), 0.95)) / math.sqrt(2.0)
