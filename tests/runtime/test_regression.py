"""Errors of numbers, against scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import helper
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import DataError, ExpectationError, LimitError, ModelError
from sardonyx.runtime import evaluate
from sardonyx.runtime.regression import absolute_columns, r_squared, variance_columns
from sklearn import metrics

RANDOM = np.random.default_rng(2)


def found(build: Any, values: np.ndarray, labels: np.ndarray, metric: str) -> Any:
    dims = ["N", *values.shape[1:]]
    model = build([helper.make_node("Identity", ["x"], ["y"])], {"y": dims}, {}, dims)
    data = CalibrationData.from_arrays({"x": values.astype(np.float32)}, labels)
    return evaluate(model, data, metric, batch_size=16)


@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 3)])
@pytest.mark.parametrize(
    ("metric", "oracle"),
    [
        ("mae", metrics.mean_absolute_error),
        ("rmse", lambda y, x: metrics.mean_squared_error(y, x) ** 0.5),
        ("r2", metrics.r2_score),
    ],
)
def test_figures_against_scikit_learn(
    build: Any, metric: str, oracle: Callable[..., float], shape: tuple[int, ...]
) -> None:
    labels = RANDOM.normal(20.0, 3.0, shape)
    values = (labels + RANDOM.normal(0, 1, shape)).astype(np.float32).reshape(50, -1)
    result = found(build, values, labels, metric)
    assert result.value == pytest.approx(oracle(labels.reshape(50, -1), values), rel=1e-6)
    assert result.low < result.value < result.high
    assert result.higher_is_better == (metric == "r2")


def test_the_interval_of_a_mean_is_its_standard_error(build: Any) -> None:
    values = RANDOM.normal(size=(400, 1))
    result = found(build, values, np.zeros(400), "mae")
    assert (result.high - result.low) / 2 == pytest.approx(1.96 * np.abs(values).std() / 20, rel=0.1)


def test_whole_numbers_are_labels_too(build: Any) -> None:
    assert found(build, np.array([[1.0], [4.0]]), np.array([1, 2]), "rmse").value == pytest.approx(2**0.5)


def test_constant_labels_leave_nothing_to_explain(build: Any) -> None:
    columns = variance_columns(np.zeros((4, 1)), np.full(4, 1e3))
    assert np.isnan(r_squared(columns.sum(0, keepdims=True))[0])
    with pytest.raises(DataError, match="all alike"):
        found(build, np.zeros((4, 1)), np.full(4, 1e3), "r2")


@pytest.mark.parametrize(
    ("values", "labels", "error", "match"),
    [
        (np.zeros((3, 2)), np.zeros((3, 3)), ModelError, "the 3 numbers a sample"),
        (np.zeros((3, 1)), np.full(3, np.nan), DataError, "no finite numbers"),
        (np.zeros((3, 5000)), np.zeros((3, 5000)), LimitError, "5000 numbers"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    build: Any, values: np.ndarray, labels: np.ndarray, error: type, match: str
) -> None:
    with pytest.raises(error, match=match):
        found(build, values, labels, "r2")


def test_answers_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ExpectationError, match="NaN or infinite"):
        absolute_columns(np.array([[np.inf]]), np.zeros(1))
