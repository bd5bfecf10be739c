"""Which samples two models answer differently, and their pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import DataError, ModelError
from sardonyx.runtime import Answers, answers_of, changed_answers, evaluate, picture_of


def answers(classes: list[int], margins: list[float], number: int = 4) -> Answers:
    return Answers(np.array(classes), np.array(margins), number, "y")


def test_answers_that_differ_come_with_the_surest_first() -> None:
    before = answers([0, 1, 2, 3], [0.1, 0.2, 0.9, 0.4])
    after = answers([0, 2, 1, 0], [0.5, 0.6, 0.7, 0.8])
    found = changed_answers(before, after, name="m", labels=np.array([0, 1, 1, 2]), limit=2)
    assert (found.changed, found.lost, found.gained, found.samples) == (3, 1, 1, 4)
    assert [(a.index, a.label, a.before, a.after) for a in found.answers] == [(2, 1, 2, 1), (3, 2, 3, 0)]
    assert (found.answers[0].before_margin, found.answers[0].after_margin) == (0.9, 0.7)


def test_they_agree_with_numpy_and_with_agreement(linear: Any, data: CalibrationData) -> None:
    models = (linear(), linear(noise=2.0))
    before, after = (answers_of(model, data, batch_size=9) for model in models)
    found = changed_answers(before, after, name="b", labels=data.labels, limit=50)
    x = data.source.read(range(50))["x"]
    old, new = (x @ m.load().graph.initializers["w"].const_value.numpy() for m in models)
    assert sorted(a.index for a in found.answers) == np.flatnonzero(old.argmax(1) != new.argmax(1)).tolist()
    agreement = evaluate(models[1], data, "agreement", reference=models[0]).value
    assert found.changed == round(50 * (1 - agreement)) > 3
    ranked = np.sort(old, axis=1)
    first = found.answers[0]
    assert first.before_margin == pytest.approx(ranked[first.index, -1] - ranked[first.index, -2], abs=1e-5)
    assert found.lost == found.changed  # the labels are the first model's own answers


@pytest.mark.parametrize("labels", [None, np.zeros((4, 2), int), np.zeros(4)])
def test_without_a_class_a_sample_nothing_is_right_or_wrong(labels: np.ndarray | None) -> None:
    found = changed_answers(answers([0] * 4, [1.0] * 4), answers([1] * 4, [1.0] * 4), name="m", labels=labels)
    assert (found.changed, found.lost, found.answers[0].label) == (4, None, None)


def test_a_score_that_is_no_number_is_no_answer(build: Any) -> None:
    model = build([helper.make_node("Sqrt", ["x"], ["y"])], {"y": ["N", 2]}, {}, ["N", 2])
    data = CalibrationData.from_arrays({"x": np.array([[1.0, 4.0], [-1.0, 4.0]], np.float32)})
    found = answers_of(model, data)
    assert (found.answers.tolist(), found.margins.tolist()) == ([1, -1], [1.0, 0.0])


def test_models_that_have_no_answers_are_refused(build: Any, linear: Any, data: CalibrationData) -> None:
    total = build(
        [helper.make_node("ReduceL1", ["x"], ["y"], axes=[1], keepdims=0)], {"y": ["N"]}, {}, ["N", 4]
    )
    with pytest.raises(ModelError, match="no output has rank 2"):
        answers_of(total, data)
    with pytest.raises(DataError, match="no score for each class"):
        answers_of(linear(), data, output="total")
    with pytest.raises(DataError, match="4 and 5 classes"):
        changed_answers(answers([0], [1.0]), answers([0], [1.0], 5), name="m")


@pytest.mark.parametrize(("channels", "shape"), [(1, (8, 9)), (3, (8, 9, 3))])
def test_a_picture_is_stretched_from_its_darkest_to_its_brightest(
    channels: int, shape: tuple[int, ...]
) -> None:
    images = np.random.default_rng(0).normal(size=(4, channels, 8, 9)).astype(np.float32)
    picture = picture_of(CalibrationData.from_arrays({"image": images}).subset(2, seed=1), 1)
    assert picture is not None
    assert (picture.shape, picture.dtype, picture.min(), picture.max()) == (shape, np.uint8, 0, 255)


def test_a_large_picture_is_thinned_out() -> None:
    images = np.zeros((1, 3, 300, 200), np.float32)
    images[0, 0, 0, 0] = 1.0
    picture = picture_of(CalibrationData.from_arrays({"image": images}), 0)
    assert picture is not None
    assert picture.shape == (100, 67, 3)
    assert picture[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    "arrays", [{"x": (2, 5)}, {"x": (2, 4, 8, 8)}, {"a": (2, 1, 8, 8), "b": (2, 3, 8, 8)}]
)
def test_what_is_not_like_an_image_has_no_picture(arrays: dict[str, tuple[int, ...]]) -> None:
    data = CalibrationData.from_arrays({n: np.zeros(shape, np.float32) for n, shape in arrays.items()})
    assert picture_of(data, 0) is None
