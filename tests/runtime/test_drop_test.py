"""Paired tests: against SciPy, and how often they cry wolf."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx import helper
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import UsageError
from sardonyx.runtime import paired_drop, score_samples
from sardonyx.runtime.drop_test import compare_figures, compare_jackknifed, compare_shares
from sardonyx.runtime.intervals import mean_of
from scipy.stats import binomtest, ttest_rel


def pair(both: int, lost: int, gained: int) -> tuple[np.ndarray, np.ndarray]:
    first = np.r_[np.ones(both + lost), np.zeros(gained)]
    return first, np.r_[np.ones(both), np.zeros(lost), np.ones(gained)]


@pytest.mark.parametrize(
    ("lost", "gained", "verdict"),
    [(8, 2, "no difference"), (15, 3, "real"), (3, 15, "real"), (0, 0, "no difference"), (300, 240, "real")],
)
def test_mcnemar_is_the_binomial_of_those_that_differ(lost: int, gained: int, verdict: str) -> None:
    drop, test = compare_shares(*pair(100, lost, gained))
    expected = binomtest(lost, lost + gained, 0.5).pvalue if lost + gained else 1.0
    assert test.p_value == pytest.approx(expected)
    assert (test.lost, test.gained, test.verdict) == (lost, gained, verdict)
    assert drop.value == pytest.approx((lost - gained) / (100 + lost + gained))


def columns(values: np.ndarray) -> np.ndarray:
    return np.stack([values, np.ones(len(values))], axis=1)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.12, 0.3])
def test_the_bootstrap_agrees_with_the_t_test_of_means(shift: float) -> None:
    random = np.random.default_rng(8)
    first = random.normal(5, 1, 200)
    second = first + random.normal(shift, 0.6, 200)
    drop, test = compare_figures(columns(first), columns(second), mean_of, higher_is_better=False)
    assert test.p_value == pytest.approx(ttest_rel(second, first).pvalue, abs=0.05)
    assert drop.value == pytest.approx((second - first).mean())
    assert (test.lost, test.gained) == (None, None)
    assert (drop.low > 0) == (test.verdict == "real")


def test_chance_alone_is_called_real_in_about_one_case_of_twenty() -> None:
    random = np.random.default_rng(1)
    real = 0
    for _ in range(60):
        first, second = random.normal(size=(2, 100))
        test = compare_figures(columns(first), columns(second), mean_of, higher_is_better=True)[1]
        real += test.verdict == "real"
    assert real <= 8  # 3 expected; more than 8 happens once in 300 tries


def test_equal_models_do_not_differ() -> None:
    same = columns(np.arange(9.0))
    drop, test = compare_figures(same, same, mean_of, higher_is_better=True)
    assert (drop.value, drop.low, drop.high, test.p_value) == (0.0, 0.0, 0.0, 1.0)
    parts = np.arange(5.0)
    assert compare_jackknifed((1.0, 1.0), parts, parts, higher_is_better=True)[1].p_value == 1.0
    assert compare_jackknifed((1.0, 0.5), parts, parts - 0.5, higher_is_better=True)[1].verdict == "real"


def test_the_jackknife_agrees_with_the_t_test_of_means() -> None:
    random = np.random.default_rng(6)
    first = random.normal(size=200)
    second = first - random.normal(0.1, 0.5, 200)
    groups = [np.delete(np.arange(200), np.s_[g::20]) for g in range(20)]
    without = [np.array([values[kept].mean() for kept in groups]) for values in (first, second)]
    drop, test = compare_jackknifed((first.mean(), second.mean()), *without, higher_is_better=True)
    assert drop.value == pytest.approx((first - second).mean())
    assert test.p_value == pytest.approx(ttest_rel(first, second).pvalue, abs=0.03)


@pytest.mark.parametrize(("metric", "worse"), [("mae", True), ("rmse", True), ("r2", True), ("mae", False)])
def test_a_drop_is_positive_where_the_second_is_worse(build: Any, metric: str, worse: bool) -> None:
    labels = np.random.default_rng(0).normal(size=(40, 1)).astype(np.float32)
    data = CalibrationData.from_arrays({"x": labels}, labels)

    def scores(factor: float) -> Any:
        nodes = [helper.make_node("Mul", ["x", "f"], ["y"])]
        return score_samples(
            build(nodes, {"y": ["N", 1]}, {"f": np.float32([factor])}, ["N", 1]), data, metric
        )

    ends = (scores(0.9), scores(0.5))
    drop, test = paired_drop(*(ends if worse else ends[::-1]))
    assert (drop.value > 0) == worse
    assert test.verdict == "real"


@pytest.mark.parametrize("metric", ["top2", "f1"])
def test_models_of_classes_are_paired_by_sample(linear: Any, data: CalibrationData, metric: str) -> None:
    drop, test = paired_drop(*(score_samples(linear(noise=n), data, metric) for n in (0.0, 3.0)))
    assert drop.value > 0
    assert drop.low <= drop.value <= drop.high
    assert test.verdict == "real"


def test_scores_that_are_no_pair_are_refused(linear: Any, data: CalibrationData) -> None:
    scores = score_samples(linear(), data, "top1")
    with pytest.raises(UsageError, match="paired drop"):
        paired_drop(scores, replace(scores, columns=scores.columns[:9]))
    with pytest.raises(UsageError, match="paired drop"):
        paired_drop(scores, replace(scores, metric="top2"))
