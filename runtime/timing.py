"""Timing candidates against each other: interleaved, warmed up, on a monotonic clock.

In each round every candidate is timed once, in an order that is shuffled anew, so that a slow moment of the
machine hits them alike and ratios are taken within a round. This module knows nothing of models: it times
functions, and a test can hand it a clock.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .intervals import Matrix

Clock = Callable[[], int]
"""Returns nanoseconds of a clock that never goes back."""

LEAST_ROUNDS = 5
"""Rounds that are timed even where the time is up: an interval of fewer says nothing."""

MANY_DISTURBED = 0.3
"""Above this share of interrupted samples a figure deserves a warning."""

_TRIES = 5

_SETTLE_MS = 2.0
"""Untimed running before each sample, so that caches hold this candidate and not the one before."""


@dataclass(frozen=True)
class TimingPlan:
    """How to time.

    Attributes:
        rounds: Rounds, each with one sample of every candidate.
        warmup: Untimed runs of each candidate ahead of everything.
        sample_ms: A sample repeats its run until it takes at least this long.
        seconds: No new round starts later than this, once :data:`LEAST_ROUNDS` are done.
        seed: Seed of the order.
    """

    rounds: int = 30
    warmup: int = 3
    sample_ms: float = 5.0
    seconds: float = 60.0
    seed: int = 0


@dataclass(frozen=True)
class TimedRounds:
    """What was timed.

    Attributes:
        times_ms: Milliseconds of one run in each round, shape ``(rounds,)``, for each candidate.
        runs_per_sample: How many runs each sample averages, for each candidate.
        disturbed_ratio: Share of samples in which the system took a core away from this process, 0 to 1, for
            each candidate; 0 where the system does not count that.
        rounds: Rounds done.
        is_cut_short: Whether the time was up before all rounds were done.
    """

    times_ms: Mapping[str, Matrix]
    runs_per_sample: Mapping[str, int]
    disturbed_ratio: Mapping[str, float]
    rounds: int
    is_cut_short: bool


def time_interleaved(
    candidates: Mapping[str, Callable[[], object]],
    plan: TimingPlan,
    *,
    clock: Clock = time.perf_counter_ns,
    interruptions: Callable[[], int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TimedRounds:
    """Time functions against each other.

    Args:
        candidates: What to time; the first is the one that others are compared with.
        plan: How.
        clock: The clock.
        interruptions: Counts how often the system took a core away from this process; its own count where None.
        progress: Told the rounds done and the rounds in all.
    """
    count_interruptions = interruptions or involuntary_switches
    start = clock()
    counts = {name: _runs_for(run, plan, clock) for name, run in candidates.items()}
    settle = {n: math.ceil(c * _SETTLE_MS / plan.sample_ms) for n, c in counts.items()}
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    disturbed = dict.fromkeys(candidates, 0)
    random = np.random.default_rng(plan.seed)
    names = list(candidates)
    done = 0
    while done < plan.rounds:
        if done >= LEAST_ROUNDS and clock() - start > plan.seconds * 1e9:
            break
        for index in random.permutation(len(names)):
            name = names[index]
            _repeat(candidates[name], settle[name])
            before = count_interruptions()
            samples[name].append(_sample_ms(candidates[name], counts[name], clock))
            disturbed[name] += count_interruptions() > before
        done += 1
        if progress is not None:
            progress(done, plan.rounds)
    times = {name: np.array(values) for name, values in samples.items()}
    shares = {name: count / done for name, count in disturbed.items()}
    return TimedRounds(times, counts, shares, done, done < plan.rounds)


def involuntary_switches() -> int:
    """How often the system has taken a core away from this process; always 0 where it does not count that."""
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _runs_for(run: Callable[[], object], plan: TimingPlan, clock: Clock) -> int:
    """Warm up, and find how many runs fill a sample.

    The quickest of a few runs counts: an interrupted one would make this candidate's samples shorter than those
    of the others, and less often interrupted.
    """
    _repeat(run, plan.warmup)
    once_ms = min(_sample_ms(run, 1, clock) for _ in range(_TRIES))
    return max(1, math.ceil(plan.sample_ms / max(once_ms, 1e-4)))


def _sample_ms(run: Callable[[], object], count: int, clock: Clock) -> float:
    begin = clock()
    _repeat(run, count)
    return (clock() - begin) / 1e6 / count


def _repeat(run: Callable[[], object], count: int) -> None:
    for _ in range(count):
        run()
