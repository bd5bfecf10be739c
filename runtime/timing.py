"""Timing candidates against each other: interleaved, warmed up, on a monotonic clock.

In each round every candidate is timed once, in an order that is shuffled anew, so that a slow moment of the
machine hits them alike and ratios are taken within a round. Every run has a time of its own: a sample is the median
of its runs, which an interruption in the middle of it does not move. This module knows nothing of models: it times
functions, and a test can hand it a clock.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .intervals import Matrix
from .warmup import CAP_S, Clock, WarmUp, warm_up

LEAST_ROUNDS = 5
"""Rounds that are timed even where the time is up: an interval of fewer says nothing."""

MANY_DISTURBED = 0.3
"""Above this share of interrupted samples a figure deserves a warning."""

_TRIES = 5

_MOST_COLD = 5
"""Runs of a sample where each has to be prepared, which takes longer than most runs."""

_WARMUP_SHARE = 0.1
"""Share of the time that all warm-ups together may take."""

_SETTLE_MS = 2.0
"""Untimed running before each sample, so that caches hold this candidate and not the one before."""


@dataclass(frozen=True)
class TimingPlan:
    """How to time.

    Attributes:
        rounds: Rounds, each with one sample of every candidate.
        warmup: Runs in a window of the warm-up, which goes on until two windows agree; 0 leaves it out.
        sample_ms: A sample repeats its run until it takes at least this long.
        seconds: No new round starts later than this, once :data:`LEAST_ROUNDS` are done.
        seed: Seed of the order.
        before_run: Is called ahead of each timed run and not timed; a sample then has few runs.
        filler: The candidate whose samples last at least as long as the longest run of any, if there is one.
    """

    rounds: int = 30
    warmup: int = 3
    sample_ms: float = 5.0
    seconds: float = 60.0
    seed: int = 0
    before_run: Callable[[], object] | None = None
    filler: str | None = None


@dataclass(frozen=True)
class TimedRounds:
    """What was timed.

    Attributes:
        times_ms: The median run of each round in milliseconds, shape ``(rounds,)``, for each candidate.
        runs_ms: Every timed run, shape ``(rounds, runs_per_sample)``, for each candidate.
        runs_per_sample: How many runs each sample has, for each candidate.
        disturbed_ratio: Share of samples in which the system took a core away from this process, 0 to 1, for
            each candidate; 0 where the system does not count that.
        rounds: Rounds done.
        is_cut_short: Whether the time was up before all rounds were done.
        warm_ups: How each candidate was warmed up.
    """

    times_ms: Mapping[str, Matrix]
    runs_ms: Mapping[str, Matrix]
    runs_per_sample: Mapping[str, int]
    disturbed_ratio: Mapping[str, float]
    rounds: int
    is_cut_short: bool
    warm_ups: Mapping[str, WarmUp]


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
    cap_s = min(CAP_S, plan.seconds * _WARMUP_SHARE / len(candidates))
    warm_ups = {
        name: warm_up(run, plan.warmup, plan.sample_ms, cap_s=cap_s, clock=clock)
        for name, run in candidates.items()
    }
    once_ms = {name: _once_ms(run, warm_ups[name], plan, clock) for name, run in candidates.items()}
    counts = {name: _runs_for(name, once_ms, plan) for name in candidates}
    # a prepared run finds the caches as the preparation leaves them
    settle_ms = 0.0 if plan.before_run else _SETTLE_MS
    settle = {n: math.ceil(c * settle_ms / plan.sample_ms) for n, c in counts.items()}
    samples: dict[str, list[list[float]]] = {name: [] for name in candidates}
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
            samples[name].append(_sample_ms(candidates[name], counts[name], clock, plan.before_run))
            disturbed[name] += count_interruptions() > before
        done += 1
        if progress is not None:
            progress(done, plan.rounds)
    runs = {name: np.array(values) for name, values in samples.items()}
    times = {name: np.median(values, axis=1) for name, values in runs.items()}
    shares = {name: count / done for name, count in disturbed.items()}
    return TimedRounds(times, runs, counts, shares, done, done < plan.rounds, warm_ups)


def involuntary_switches() -> int:
    """How often the system has taken a core away from this process; always 0 where it does not count that."""
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _once_ms(run: Callable[[], object], warm: WarmUp, plan: TimingPlan, clock: Clock) -> float:
    """How long a run takes: the quickest of a few.

    An interrupted one would make this candidate's samples shorter than those of the others, and less often
    interrupted.
    """
    once_ms = warm.quickest_ms
    if once_ms is None:
        once_ms = min(_sample_ms(run, _TRIES, clock, plan.before_run))
    return max(once_ms, 1e-4)


def _runs_for(name: str, once_ms: Mapping[str, float], plan: TimingPlan) -> int:
    """How many runs fill a sample."""
    wanted_ms = max(plan.sample_ms, *once_ms.values()) if name == plan.filler else plan.sample_ms
    count = max(1, math.ceil(wanted_ms / once_ms[name]))
    return min(count, _MOST_COLD) if plan.before_run else count


def _sample_ms(
    run: Callable[[], object], count: int, clock: Clock, before_run: Callable[[], object] | None
) -> list[float]:
    """Milliseconds of each of so many runs."""
    if before_run is None:
        stamps = [clock()]
        for _ in range(count):
            run()
            stamps.append(clock())
        return [(end - begin) / 1e6 for begin, end in itertools.pairwise(stamps)]
    times_ms = []
    for _ in range(count):
        before_run()
        begin = clock()
        run()
        times_ms.append((clock() - begin) / 1e6)
    return times_ms


def _repeat(run: Callable[[], object], count: int) -> None:
    for _ in range(count):
        run()
