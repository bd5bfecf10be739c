"""Recall at 1, against scikit-learn's neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import DataError
from sardonyx.runtime import evaluate
from sardonyx.runtime.retrieval import nearest_columns
from sklearn.neighbors import NearestNeighbors

RANDOM = np.random.default_rng(4)


def oracle(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    near = NearestNeighbors(n_neighbors=2, metric="cosine", algorithm="brute").fit(vectors)
    indices = near.kneighbors(return_distance=False, n_neighbors=1)
    return np.asarray(labels[indices[:, 0]] == labels)


def test_recall_against_scikit_learn(build: Any) -> None:
    labels = RANDOM.integers(0, 8, 90)
    vectors = (RANDOM.normal(size=(8, 6))[labels] + RANDOM.normal(size=(90, 6))).astype(np.float32)
    model = build([helper.make_node("Identity", ["x"], ["y"])], {"y": ["N", 6]}, {}, ["N", 6])
    found = evaluate(model, CalibrationData.from_arrays({"x": vectors}, labels), "retrieval", batch_size=11)
    assert found.value == pytest.approx(oracle(vectors, labels).mean())
    assert 0.2 < found.value < 1.0
    assert (found.method, found.n) == ("Wilson 95 %", 90)


def test_more_samples_than_are_compared_at_once() -> None:
    labels = np.arange(1200) % 300
    vectors = RANDOM.normal(size=(300, 5))[labels] + 0.3 * RANDOM.normal(size=(1200, 5))
    assert np.array_equal(nearest_columns(vectors, labels)[:, 0], oracle(vectors, labels))


def test_a_label_that_occurs_once_is_left_out_and_said(build: Any) -> None:
    model = build([helper.make_node("Identity", ["x"], ["y"])], {"y": ["N", 2]}, {}, ["N", 2])
    vectors = np.array([[1, 0], [1, 0.1], [0, 1]], np.float32)
    found = evaluate(model, CalibrationData.from_arrays({"x": vectors}, np.array([3, 3, 7])), "retrieval")
    assert (found.value, found.n) == (1.0, 2)
    assert found.notes == ("1 samples are left out: no other has their label",)


def test_a_vector_without_a_direction_finds_nothing_and_is_not_found() -> None:
    vectors = np.array([[0.0, 0.0], [np.nan, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert nearest_columns(vectors, np.array([1, 1, 1, 1]))[:, 0].tolist() == [0, 0, 1, 1]
    assert nearest_columns(vectors[:3], np.array([1, 1, 1]))[:, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("labels", "match"), [(np.arange(3), "no label occurs twice"), (np.zeros(3), "type float64")]
)
def test_labels_that_do_not_fit_are_refused(labels: np.ndarray, match: str) -> None:
    with pytest.raises(DataError, match=match):
        nearest_columns(np.ones((3, 2)), labels)
