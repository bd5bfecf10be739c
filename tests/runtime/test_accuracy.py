from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx import helper
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import DataError, ExpectationError, ModelError, UsageError
from sardonyx.runtime import accuracy_drop, evaluate, score_samples
from sardonyx.runtime.classification import topk_columns
from sklearn.metrics import top_k_accuracy_score


def test_top1_of_the_model_that_made_the_labels(linear: Any, data: CalibrationData) -> None:
    found = evaluate(linear(), data)
    assert (found.value, found.n, found.high) == (1.0, 50, 1.0)
    assert 0.9 < found.low < 1.0  # type: ignore[operator]
    assert found.method == "Wilson 95 %"


def test_top1_takes_the_first_output_of_rank_2_and_says_so(linear: Any, data: CalibrationData) -> None:
    assert evaluate(linear(), data, batch_size=7).outputs == ("y",)


def test_top1_against_numpy(linear: Any, data: CalibrationData) -> None:
    model = linear(noise=2.0)
    weight = model.load().graph.initializers["w"].const_value.numpy()
    expected = float(((data.source.read(range(50))["x"] @ weight).argmax(1) == data.labels).mean())
    assert evaluate(model, data).value == expected < 1.0


@pytest.mark.parametrize("count", [1, 2, 3])
def test_topk_against_scikit_learn(build: Any, count: int) -> None:
    scores = np.random.default_rng(3).normal(size=(70, 6)).astype(np.float32)
    labels = np.random.default_rng(4).integers(0, 6, 70)
    model = build([helper.make_node("Identity", ["x"], ["y"])], {"y": ["N", 6]}, {}, ["N", 6])
    found = evaluate(model, CalibrationData.from_arrays({"x": scores}, labels), f"top{count}")
    assert found.value == pytest.approx(top_k_accuracy_score(labels, scores, k=count))
    assert (found.method, found.n) == ("Wilson 95 %", 70)


def test_of_equal_scores_the_lower_class_comes_first() -> None:
    scores = np.array([[1.0, 1.0, 1.0, 0.0]] * 4 + [[np.nan, 1.0, 0.0, 0.0]])
    assert topk_columns(scores, np.array([0, 1, 2, 3, 1]), count=2)[:, 0].tolist() == [1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("metric", "low", "high"), [("cosine", 0.9, 0.9999), ("sqnr", 5.0, 40.0), ("agreement", 0.6, 1.0)]
)
def test_closeness_to_a_reference(
    linear: Any, data: CalibrationData, metric: str, low: float, high: float
) -> None:
    found = evaluate(linear(noise=0.1), data, metric, reference=linear(), output="y")
    assert low < found.value < high
    assert found.low < found.value < found.high  # type: ignore[operator]


def test_sqnr_against_its_definition(linear: Any, data: CalibrationData) -> None:
    found = evaluate(linear(scale=1.1), data, "sqnr", reference=linear(), output="y")
    assert found.value == pytest.approx(20.0, abs=1e-3)
    assert found.low == pytest.approx(found.high, abs=1e-3)


def test_equal_outputs_are_said_to_be_equal(linear: Any, data: CalibrationData) -> None:
    found = evaluate(linear(), data, "sqnr", reference=linear())
    assert found.value == np.inf
    assert "equal" in found.notes[0]


def test_cosine_of_a_zero_output_is_undefined(linear: Any, data: CalibrationData) -> None:
    with pytest.raises(DataError, match="undefined on every sample"):
        evaluate(linear(scale=0.0), data, "cosine", reference=linear(), output="y")


def test_nan_where_the_reference_has_numbers_is_refused(build: Any, data: CalibrationData) -> None:
    plain = build([helper.make_node("Abs", ["x"], ["y"])], {"y": ["N", 4]}, {}, ["N", 4])
    broken = build([helper.make_node("Sqrt", ["x"], ["y"])], {"y": ["N", 4]}, {}, ["N", 4])
    with pytest.raises(ExpectationError, match="'y' is NaN"):
        evaluate(broken, data, "cosine", reference=plain)
    assert evaluate(broken, data, "agreement", reference=plain).value < 0.2


def test_the_drop_is_paired_by_sample(linear: Any, data: CalibrationData) -> None:
    first, second = (score_samples(linear(noise=n), data, "top1") for n in (0.0, 2.0))
    drop = accuracy_drop(first, second)
    assert drop.value == pytest.approx(1.0 - second.columns.mean())
    with pytest.raises(UsageError, match="undefined"):
        accuracy_drop(first, replace(second, metric="sqnr"))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"all_labels": None}, "needs labels"),
        ({"all_labels": np.zeros(50)}, "type float64"),
        ({"all_labels": np.zeros((50, 2), int)}, "shape"),
        ({"all_labels": np.full(50, 7)}, "from 7 to 7, the model has 3 classes"),
    ],
)
def test_bad_labels_are_refused(
    linear: Any, data: CalibrationData, change: dict[str, Any], match: str
) -> None:
    with pytest.raises(DataError, match=match):
        evaluate(linear(), replace(data, **change))


def test_models_with_different_batches_are_compared_at_the_one_that_is_fixed(
    linear: Any, data: CalibrationData
) -> None:
    found = evaluate(linear(batch=8), data, "cosine", reference=linear())
    assert (found.n, found.value) == (48, pytest.approx(1.0))
    assert "2 trailing samples were dropped" in found.notes[0]
    with pytest.raises(DataError, match="batches of 5 only, the other of 8"):
        evaluate(linear(batch=8), data, "cosine", reference=linear(batch=5))


def test_samples_are_needed(linear: Any) -> None:
    with pytest.raises(DataError, match="needs samples"):
        evaluate(linear(), None)


@pytest.mark.parametrize(
    ("metric", "match"),
    [
        ("bleu", "unknown metric 'bleu'"),
        ("top0", "unknown metric"),
        ("top3", "top3 of 3 classes is always right"),
        ("sqnr", "reference model"),
    ],
)
def test_requests_that_make_no_sense_are_refused(
    linear: Any, data: CalibrationData, metric: str, match: str
) -> None:
    with pytest.raises(UsageError, match=match):
        evaluate(linear(), data, metric)


@pytest.mark.parametrize("metric", ["top1", "cosine"])
def test_an_output_that_is_not_there_is_refused(linear: Any, data: CalibrationData, metric: str) -> None:
    with pytest.raises(ModelError, match="no output"):
        evaluate(linear(), data, metric, output="logits", reference=linear())
