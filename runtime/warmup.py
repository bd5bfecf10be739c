"""Warming up until a candidate runs steadily, and saying so where it never does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Clock = Callable[[], int]
"""Returns nanoseconds of a clock that never goes back."""

STEADY_RATIO = 0.05
"""Two windows agree where their medians are no further apart than this share of the later one."""

CAP_S = 2.0
"""No new window of a warm-up starts later than this."""

_LEAST_WINDOWS = 2


@dataclass(frozen=True)
class WarmUp:
    """How a candidate was warmed up.

    Attributes:
        runs: Untimed runs.
        is_steady: Whether two successive windows of runs agreed within :data:`STEADY_RATIO`; True where no
            warm-up was wanted.
        quickest_ms: The quickest run of the last window; None where no warm-up was wanted.
    """

    runs: int
    is_steady: bool
    quickest_ms: float | None


def warm_up(
    run: Callable[[], object],
    window_runs: int,
    window_ms: float,
    *,
    cap_s: float = CAP_S,
    clock: Clock = time.perf_counter_ns,
) -> WarmUp:
    """Run until two successive windows agree, or the time is up.

    Args:
        run: The candidate.
        window_runs: Runs that a window has at least; 0 leaves the warm-up out.
        window_ms: Milliseconds that a window has at least.
        cap_s: No new window starts later than this, once there were two.
        clock: The clock.
    """
    if window_runs == 0:
        return WarmUp(0, True, None)
    start, runs, windows, before_ms = clock(), 0, 0, 0.0
    while True:
        times_ms = _window(run, window_runs, window_ms, clock)
        runs, windows, middle_ms = runs + len(times_ms), windows + 1, float(np.median(times_ms))
        is_steady = windows >= _LEAST_WINDOWS and abs(middle_ms - before_ms) <= STEADY_RATIO * middle_ms
        if is_steady or (windows >= _LEAST_WINDOWS and clock() - start > cap_s * 1e9):
            return WarmUp(runs, is_steady, min(times_ms))
        before_ms = middle_ms


def _window(run: Callable[[], object], runs: int, least_ms: float, clock: Clock) -> list[float]:
    """Milliseconds of each run of a window."""
    times_ms: list[float] = []
    start = clock()
    while len(times_ms) < runs or clock() - start < least_ms * 1e6:
        begin = clock()
        run()
        times_ms.append((clock() - begin) / 1e6)
    return times_ms
