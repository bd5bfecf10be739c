from __future__ import annotations

import math

import numpy as np
import pytest
from sardonyx.runtime.intervals import bootstrap, jackknife, median_interval, paired_difference, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (880, 1000, 0.8584, 0.8987)],
)
def test_wilson_against_published_values(successes: int, trials: int, low: float, high: float) -> None:
    interval = wilson(successes, trials)
    assert interval.value == successes / trials
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-4)


def test_bootstrap_of_a_mean_matches_the_standard_error() -> None:
    values = np.random.default_rng(3).normal(5.0, 2.0, (400, 1))
    interval = bootstrap(values, lambda sums: sums[:, 0] / 400)
    assert interval.value == pytest.approx(values.mean())
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.1)


def test_bootstrap_is_seeded() -> None:
    values = np.arange(20.0)[:, None]
    runs = [bootstrap(values, lambda s: s[:, 0], seed=seed) for seed in (0, 0, 1)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_infinite_statistics_keep_an_interval() -> None:
    interval = bootstrap(np.array([[1.0, 0.0]] * 5), lambda s: np.full(len(s), math.inf))
    assert interval.low == interval.high == math.inf


def test_the_median_is_inside_its_interval() -> None:
    interval = median_interval(np.random.default_rng(0).lognormal(size=41))
    assert interval.low < interval.value < interval.high


def test_pairing_narrows_a_difference() -> None:
    first = np.r_[np.ones(880), np.zeros(120)]
    second = first.copy()
    second[:10] = 0
    drop = paired_difference(first, second)
    assert drop.value == pytest.approx(0.01)
    assert 0.003 < drop.low < drop.value < drop.high < 0.018


def test_equal_models_have_a_drop_that_contains_zero() -> None:
    drop = paired_difference(np.ones(50), np.ones(50))
    assert drop.value == 0.0
    assert drop.low < 0.0 < drop.high


def test_jackknife_of_a_mean_matches_the_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=100)
    groups = np.array([np.delete(values, slice(g * 5, g * 5 + 5)).mean() for g in range(20)])
    interval = jackknife(float(values.mean()), groups)
    assert (interval.high - interval.low) / 2 == pytest.approx(2.09 * 0.1 * values.std(), rel=0.5)
