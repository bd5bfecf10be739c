from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, repeat

import pytest
from sardonyx.runtime.warmup import WarmUp, warm_up


class Model:
    """Takes the milliseconds that it is told to, on a clock of its own."""

    def __init__(self, times_ms: Iterator[float]) -> None:
        self.now_ns = 0
        self.times_ms = times_ms

    def run(self) -> None:
        self.now_ns += int(next(self.times_ms) * 1e6)

    def clock(self) -> Callable[[], int]:
        return lambda: self.now_ns


def warmed(times_ms: Iterator[float], runs: int = 3, window_ms: float = 0.0, cap_s: float = 0.5) -> WarmUp:
    model = Model(times_ms)
    return warm_up(model.run, runs, window_ms, cap_s=cap_s, clock=model.clock())


def test_a_steady_model_needs_two_windows() -> None:
    assert warmed(repeat(4.0)) == WarmUp(6, True, 4.0)


def test_a_slow_begin_is_run_through() -> None:
    assert warmed(chain([50.0] * 3, [20.0] * 3, repeat(4.0))) == WarmUp(12, True, 4.0)


def test_a_window_is_long_enough() -> None:
    assert warmed(repeat(1.0), window_ms=10.0).runs == 20


def test_what_never_settles_is_said_when_the_time_is_up() -> None:
    growing = (float(i) for i in range(1, 1000))
    found = warmed(growing, runs=1, cap_s=0.1)
    assert not found.is_steady or found.runs > 20
    swinging = (1.0 if i % 2 else 30.0 for i in range(10_000))
    assert not warmed(swinging, runs=1, cap_s=0.1).is_steady


def test_a_model_slower_than_the_cap_has_two_windows_all_the_same() -> None:
    assert warmed(repeat(4000.0), runs=1, cap_s=0.1) == WarmUp(2, True, 4000.0)


def test_no_warm_up_is_none() -> None:
    assert warmed(iter(()), runs=0) == WarmUp(0, True, None)
    with pytest.raises(StopIteration):
        warmed(iter(()), runs=1)
