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

_TWO_SIDED = 1.96
"""Standard deviations from the middle to the end of a 95 % interval."""

MOMENTS_RATIO = 0.02
"""How far two measurements of one model relative to the pace scatter beyond their own intervals, as one standard
deviation (`benchmarks/gate.py`): other work does not slow a model and the pace by quite the same."""


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

    That is how far the interval of a twin (the same model, opened a second time and timed as a candidate) reaches
    from 1: a slow moment of the machine cancels in it as it does in every ratio. Without a twin it is how far two
    halves of the baseline's own samples differ.

    Args:
        baseline_ms: Samples of the baseline, shape ``(rounds,)``.
        twin_ms: Samples of its twin in the same rounds, or None.
        seed: Seed of the splits and of the bootstrap.

    Returns:
        A ratio minus 1; 0 or more.
    """
    if twin_ms is None:
        return math.exp(_halves_log(baseline_ms, seed)) - 1.0
    twin = speed_ratio(baseline_ms, twin_ms, seed=seed)
    return math.exp(max(abs(math.log(twin.low)), abs(math.log(twin.high)))) - 1.0


def judge(ratio: Interval, noise: float) -> Verdict:
    """Say whether a candidate is faster or slower.

    Chance moves the candidate and the noise apart from each other, so that both reaches join as the square root of
    their sum of squares: copies of one model are told apart in about one try of two hundred.

    Args:
        ratio: How many times faster it is, with its interval.
        noise: The difference that means nothing, as a ratio minus 1.

    Returns:
        A direction only where the interval, widened by the noise, leaves out 1.
    """
    value, reach = math.log(ratio.value), math.log1p(noise)
    if value > math.hypot(value - math.log(ratio.low), reach):
        return "faster"
    if -value > math.hypot(math.log(ratio.high) - value, reach):
        return "slower"
    return "no difference"


def moments_ratio(now: Interval, then: Interval) -> Interval:
    """The ratio of two relative times that were measured at two moments, with an interval of its own.

    The intervals of both are joined without their samples, as the square root of the sum of squares of their reaches
    towards each end (the method of variance estimates recovery of G. Zou and A. Donner, 2008, on logarithms), together
    with :data:`MOMENTS_RATIO`.

    Args:
        now: The later time, above 0.
        then: The earlier one, above 0.

    Returns:
        Now over then; above 1 is slower.
    """
    value = now.value / then.value
    scatter = _TWO_SIDED * math.sqrt(2.0) * math.log1p(MOMENTS_RATIO)
    down = math.hypot(math.log(now.value / now.low), math.log(then.high / then.value), scatter)
    up = math.hypot(math.log(now.high / now.value), math.log(then.value / then.low), scatter)
    return Interval(value, value * math.exp(-down), value * math.exp(up), "joined intervals, 95 %")


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
