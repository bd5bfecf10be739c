from __future__ import annotations

import numpy as np
import pytest
from sardonyx.runtime.intervals import Interval
from sardonyx.runtime.timing import LEAST_ROUNDS, TimingPlan, time_interleaved
from sardonyx.runtime.verdict import judge, moments_ratio, noise_ratio, speed_ratio, spread_ratio


class Machine:
    """A clock that only advances when a candidate runs, and a log of who ran."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.log: list[str] = []

    def candidate(self, name: str, ms: float) -> object:
        def run() -> None:
            self.now_ns += int(ms * 1e6)
            self.log.append(name)

        return run


def test_times_are_per_run_and_samples_are_long_enough() -> None:
    machine = Machine()
    runs = {"a": machine.candidate("a", 0.5), "b": machine.candidate("b", 20.0)}
    timed = time_interleaved(runs, TimingPlan(rounds=6), clock=lambda: machine.now_ns)  # type: ignore[arg-type]
    assert timed.runs_per_sample == {"a": 10, "b": 1}
    np.testing.assert_allclose(timed.times_ms["a"], np.full(6, 0.5))
    np.testing.assert_allclose(timed.times_ms["b"], np.full(6, 20.0))


def test_every_round_times_each_candidate_once_in_changing_order() -> None:
    machine = Machine()
    runs = {name: machine.candidate(name, 5.0) for name in "abc"}
    time_interleaved(runs, TimingPlan(rounds=20, warmup=0), clock=lambda: machine.now_ns)  # type: ignore[arg-type]
    timed = machine.log[15::2]  # five runs each to size the samples, then one to settle before each sample
    rounds = [tuple(timed[i : i + 3]) for i in range(0, 60, 3)]
    assert all(sorted(r) == ["a", "b", "c"] for r in rounds)
    assert len(set(rounds)) > 3


def test_time_that_is_up_ends_the_rounds_but_not_before_the_least() -> None:
    machine = Machine()
    plan = TimingPlan(rounds=50, seconds=0.001)
    timed = time_interleaved({"a": machine.candidate("a", 5.0)}, plan, clock=lambda: machine.now_ns)  # type: ignore[dict-item]
    assert (timed.rounds, timed.is_cut_short) == (LEAST_ROUNDS, True)


def test_interrupted_samples_are_counted() -> None:
    counts = iter(range(1000))
    seen = (next(counts) // 3 for _ in range(1000))  # rises in every second and third pair of looks
    timed = time_interleaved(
        {"a": lambda: None}, TimingPlan(rounds=6, sample_ms=0.01), interruptions=seen.__next__
    )
    assert timed.disturbed_ratio == {"a": pytest.approx(1 / 3)}


def test_progress_is_told() -> None:
    seen: list[tuple[int, int]] = []
    time_interleaved(
        {"a": lambda: None}, TimingPlan(rounds=5, sample_ms=0.01), progress=lambda *a: seen.append(a)
    )
    assert seen == [(i, 5) for i in range(1, 6)]


def test_a_ratio_is_paired_so_that_a_slow_moment_cancels() -> None:
    slow_moment = np.linspace(1, 3, 30)
    ratio = speed_ratio(10 * slow_moment, 5 * slow_moment)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((2.0, 2.0, 2.0))


def test_noise_of_a_steady_machine_is_zero_and_grows_with_the_spread() -> None:
    random = np.random.default_rng(0)
    assert noise_ratio(np.full(30, 4.0)) == 0.0
    quiet, loud = (noise_ratio(10 * random.lognormal(0, s, 30)) for s in (0.01, 0.2))
    assert 0 < quiet < 0.05 < loud


@pytest.mark.parametrize(
    ("value", "low", "high", "noise", "verdict"),
    [
        (2.0, 1.9, 2.1, 0.05, "faster"),
        (0.5, 0.4, 0.6, 0.05, "slower"),
        (1.2, 0.9, 1.5, 0.05, "no difference"),
        (1.03, 1.01, 1.05, 0.05, "no difference"),
        (0.97, 0.95, 0.99, 0.05, "no difference"),
    ],
)
def test_verdicts(value: float, low: float, high: float, noise: float, verdict: str) -> None:
    assert judge(Interval(value, low, high, ""), noise) == verdict


def test_a_twin_that_differs_is_noise() -> None:
    steady = np.full(30, 4.0)
    assert noise_ratio(steady, steady * 1.2) == pytest.approx(0.2)
    assert noise_ratio(steady, steady / 1.2) == pytest.approx(0.2)


@pytest.mark.parametrize("spread", [0.02, 0.1, 0.5])
def test_noise_is_seldom_called_a_win(spread: float) -> None:
    """Equal candidates on a noisy machine: the verdict is wrong in fewer than 5 % of tries."""
    random = np.random.default_rng(0)
    wrong = 0
    for seed in range(60):
        first, twin, second = random.lognormal(0, spread, (3, 30))
        noise = noise_ratio(first, twin, seed=seed)
        wrong += judge(speed_ratio(first, second, seed=seed), noise) != "no difference"
    assert wrong < 3


def test_a_real_difference_is_found_in_moderate_noise() -> None:
    random = np.random.default_rng(0)
    first, twin, second = random.lognormal(0, 0.1, (3, 30)) * np.array([[2.0], [2.0], [1.0]])
    assert judge(speed_ratio(first, second), noise_ratio(first, twin)) == "faster"


def test_spread() -> None:
    assert spread_ratio(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == pytest.approx(2 / 3)


def test_a_sample_is_the_median_of_its_runs_and_every_run_is_kept() -> None:
    machine = Machine()
    times = iter(
        [1.0] * 7 + [1.0, 9.0, 1.0, 1.0, 1.0] * 100
    )  # five runs to size the samples and two to settle; then one run of five is slow

    def run() -> None:
        machine.now_ns += int(next(times) * 1e6)

    plan = TimingPlan(rounds=5, warmup=0, sample_ms=5.0)
    timed = time_interleaved({"a": run}, plan, clock=lambda: machine.now_ns)
    assert timed.runs_ms["a"].shape == (5, 5)
    assert timed.runs_ms["a"].max() == 9.0
    np.testing.assert_array_equal(timed.times_ms["a"], np.ones(5))


def test_a_prepared_run_is_prepared_each_time_outside_the_time() -> None:
    machine = Machine()
    plan = TimingPlan(rounds=5, warmup=0, sample_ms=20.0, before_run=machine.candidate("walk", 50.0))  # type: ignore[arg-type]
    timed = time_interleaved({"a": machine.candidate("a", 1.0)}, plan, clock=lambda: machine.now_ns)  # type: ignore[dict-item]
    assert timed.runs_per_sample == {"a": 5}
    np.testing.assert_allclose(timed.runs_ms["a"], 1.0)
    assert machine.log == ["walk", "a"] * 30  # five runs to size the samples, then 5 rounds of 5


def test_a_filler_lasts_as_long_as_the_longest_run() -> None:
    machine = Machine()
    runs = {"long": machine.candidate("long", 40.0), "pace": machine.candidate("pace", 2.0)}
    plan = TimingPlan(rounds=5, warmup=0, filler="pace")
    timed = time_interleaved(runs, plan, clock=lambda: machine.now_ns)  # type: ignore[arg-type]
    assert timed.runs_per_sample == {"long": 1, "pace": 20}


def test_a_warm_up_is_reported() -> None:
    machine = Machine()
    timed = time_interleaved(
        {"a": machine.candidate("a", 5.0)},  # type: ignore[dict-item]
        TimingPlan(rounds=5, warmup=2),
        clock=lambda: machine.now_ns,
    )
    assert (timed.warm_ups["a"].runs, timed.warm_ups["a"].is_steady) == (4, True)


def test_two_moments_are_compared_with_both_intervals() -> None:
    exact, wide = Interval(2.0, 2.0, 2.0, ""), Interval(2.0, 1.8, 2.2, "")
    same = moments_ratio(exact, exact)
    assert same.value == 1.0
    assert 0.9 < same.low < 1.0 < same.high < 1.1
    assert moments_ratio(wide, wide).low < moments_ratio(wide, exact).low < same.low
    assert moments_ratio(Interval(3.0, 3.0, 3.0, ""), exact).value == 1.5


def test_a_slow_moment_that_twins_share_is_no_noise() -> None:
    slow_moment = np.linspace(1, 3, 30)
    assert noise_ratio(4 * slow_moment, 4 * slow_moment) == 0.0
    assert noise_ratio(4 * slow_moment) > 0.2
