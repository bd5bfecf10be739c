"""F1 and mean intersection over union, against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import DataError, ModelError
from sardonyx.runtime import evaluate, score_samples
from sardonyx.runtime.confusion import class_axes, class_columns
from sklearn.metrics import f1_score, jaccard_score

RANDOM = np.random.default_rng(5)


def answered(build: Any, shape: tuple[int, ...]) -> Any:
    """A model that gives out what it is fed."""
    dims = ["N", *shape]
    return build([helper.make_node("Identity", ["x"], ["y"])], {"y": dims}, {}, dims)


def scored(build: Any, scores: np.ndarray, labels: np.ndarray, metric: str) -> Any:
    data = CalibrationData.from_arrays({"x": scores.astype(np.float32)}, labels)
    return evaluate(answered(build, scores.shape[1:]), data, metric, batch_size=7)


@pytest.mark.parametrize(("metric", "average"), [("f1", "macro"), ("f1-micro", "micro")])
def test_f1_against_scikit_learn(build: Any, metric: str, average: str) -> None:
    scores, labels = (
        RANDOM.normal(size=(60, 5)),
        RANDOM.integers(0, 4, 60),
    )  # class 4 is answered and never right
    found = scored(build, scores, labels, metric)
    assert found.value == pytest.approx(f1_score(labels, scores.argmax(1), average=average))
    assert found.low < found.value < found.high
    assert (found.n, found.method) == (60, "bootstrap 95 %, 2000 resamples")


@pytest.mark.parametrize("axis", [1, 2])
def test_f1_of_steps_finds_the_axis_of_the_classes(build: Any, axis: int) -> None:
    scores, labels = RANDOM.normal(size=(20, 6, 4)), RANDOM.integers(0, 4, (20, 6))
    found = scored(build, np.moveaxis(scores, 2, axis), labels, "f1")
    assert found.value == pytest.approx(f1_score(labels.ravel(), scores.argmax(2).ravel(), average="macro"))


def test_miou_of_maps_leaves_out_what_is_not_labelled(build: Any) -> None:
    scores, labels = RANDOM.normal(size=(12, 3, 8, 9)), RANDOM.integers(0, 3, (12, 8, 9))
    labels[:, :2] = 255
    counted = labels != 255
    expected = jaccard_score(labels[counted], scores.argmax(1)[counted], average="macro")
    assert scored(build, scores, labels, "miou").value == pytest.approx(expected)
    share = scored(build, scores, labels, "f1-micro").value
    assert share == pytest.approx((labels == scores.argmax(1))[counted].mean())


def test_the_interval_is_that_of_drawing_samples_anew(build: Any) -> None:
    scores, labels = RANDOM.normal(size=(80, 3)) + 1.5 * np.eye(3)[np.arange(80) % 3], np.arange(80) % 3
    found = scored(build, scores, labels, "f1")
    draws = [RANDOM.integers(0, 80, 80) for _ in range(1000)]
    figures = [f1_score(labels[d], scores.argmax(1)[d], average="macro") for d in draws]
    assert (found.low, found.high) == pytest.approx(np.quantile(figures, (0.025, 0.975)), abs=0.02)


@pytest.mark.parametrize(
    ("ops", "threshold"), [((), 0.0), (("Sigmoid",), 0.5), (("Sigmoid", "Identity"), 0.5)]
)
@pytest.mark.parametrize(("metric", "average"), [("f1", "macro"), ("f1-micro", "micro")])
def test_samples_of_several_classes(
    build: Any, ops: tuple[str, ...], threshold: float, metric: str, average: str
) -> None:
    scores, labels = RANDOM.normal(size=(40, 5)).astype(np.float32), RANDOM.integers(0, 2, (40, 5))
    names = ["x", *(f"v{i}" for i in range(len(ops))), "y"]
    nodes = [helper.make_node(op, [names[i]], [names[i + 1]]) for i, op in enumerate((*ops, "Identity"))]
    model = build(nodes, {"y": ["N", 5]}, {}, ["N", 5])
    found = evaluate(model, CalibrationData.from_arrays({"x": scores}, labels), metric)
    assert found.value == pytest.approx(f1_score(labels, scores > 0, average=average))
    assert f"above {threshold:g}" in found.notes[0]


def test_columns_are_sparse_counts_of_each_class() -> None:
    columns = class_columns(np.array([[0.1, 0.9, 0.0], [np.nan, 1.0, 0.0]]), np.array([1, 2]))
    assert columns.toarray().tolist() == [[0, 1, 0, 0, 1, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0, 0, 0, 1]]


def test_two_axes_that_could_be_the_classes_are_not_guessed() -> None:
    assert class_axes((2, 4, 4), (2, 4)) == [1, 2]
    with pytest.raises(DataError, match="two axes could be the classes"):
        class_columns(np.zeros((2, 4, 4)), np.zeros((2, 4), int))


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (np.full(6, 255), "label 255 is none"),
        (np.zeros(6), "type float64"),
        (np.full((6, 3, 3), -1), "label -1 is none"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: np.ndarray, match: str) -> None:
    with pytest.raises(DataError, match=match):
        class_columns(np.zeros((6, 4, 3, 3)[: labels.ndim + 1]), labels)


def test_a_map_in_which_nothing_counts_has_no_figure(build: Any) -> None:
    with pytest.raises(DataError, match="all ignored"):
        scored(build, np.zeros((4, 2, 3, 3)), np.full((4, 3, 3), 255), "miou")


def test_maps_of_another_size_are_refused(build: Any) -> None:
    data = CalibrationData.from_arrays({"x": np.zeros((2, 3, 4, 4), np.float32)}, np.zeros((2, 8, 8), int))
    with pytest.raises(ModelError, match=r"labels of shape \(2, 8, 8\)"):
        score_samples(answered(build, (3, 4, 4)), data, "miou")
