from __future__ import annotations

import numpy as np
import pytest
from sardonyx.calib_data import CalibrationData
from sardonyx.core import DataError, TensorSpec, UsageError


def _data(count=10, **arrays):
    made = arrays or {"x": np.arange(count * 3, dtype=np.float32).reshape(count, 3)}
    return CalibrationData.from_arrays(made, labels=np.arange(count))


def _spec(name="x", dtype="float32", shape=("N", 3)):
    return TensorSpec(name, np.dtype(dtype), shape)


@pytest.mark.parametrize(("size", "lengths"), [(1, [1] * 10), (4, [4, 4, 2]), (10, [10]), (99, [10])])
def test_batches_visit_everything_in_order(size, lengths):
    batches = [feed["x"] for feed in _data().batches(size)]
    assert [len(batch) for batch in batches] == lengths
    assert np.array_equal(np.concatenate(batches), np.arange(30).reshape(10, 3))


def test_it_can_be_visited_twice():
    data = _data()
    assert [f["x"].tolist() for f in data] == [f["x"].tolist() for f in data]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_subset_is_seeded_ordered_and_keeps_its_labels(seed):
    subset = _data(100).subset(7, seed=seed)
    assert len(subset) == 7
    assert subset.labels.tolist() == sorted(set(subset.labels.tolist()))
    assert next(subset.batches(7))["x"][:, 0].tolist() == (3 * subset.labels).tolist()
    assert subset.indices == _data(100).subset(7, seed=seed).indices
    assert subset.indices != _data(100).subset(7, seed=seed + 1).indices


def test_a_split_is_complete_and_disjoint():
    first, second = _data().split(0.3)
    assert (len(first), len(second)) == (7, 3)
    assert sorted(first.indices + second.indices) == list(range(10))


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan"), 0.99])
def test_a_split_leaves_no_part_empty(share):
    with pytest.raises(UsageError, match="cannot be split"):
        _data().split(share)


@pytest.mark.parametrize("limit", [0, -5])
def test_a_subset_is_not_empty(limit):
    with pytest.raises(UsageError, match="leaves none"):
        _data().subset(limit)


def test_the_fingerprint_follows_contents_names_and_order():
    base = np.ones((4, 2), np.float32)
    changed = base.copy()
    changed[3, 1] = 2
    prints = [
        CalibrationData.from_arrays(arrays).fingerprint
        for arrays in (
            {"x": base},
            {"z": base},
            {"x": changed},
            {"x": changed[::-1]},
            {"x": base.astype(np.float64)},
        )
    ]
    assert len(set(prints)) == 5
    assert CalibrationData.from_arrays({"x": base.copy()}).fingerprint == prints[0]


@pytest.mark.parametrize(
    ("arrays", "labels", "words"),
    [
        ({}, None, "no array"),
        ({"x": np.zeros((0, 3))}, None, "no samples"),
        ({"x": np.zeros((2, 3)), "z": np.zeros((3, 3))}, None, "differ in length: x 2, z 3"),
        ({"x": np.zeros((2, 3))}, np.zeros(3), "differ in length: x 2, labels 3"),
        ({"x": np.float32(3)}, None, "single number"),
        ({"x": np.array([{}, {}])}, None, "array of objects"),
    ],
)
def test_refuses_arrays_that_are_not_samples(arrays, labels, words):
    with pytest.raises(DataError, match=words):
        CalibrationData.from_arrays({k: np.asarray(v) for k, v in arrays.items()}, labels)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_a_batch_that_is_not_finite_is_named(bad, dtype):
    values = np.zeros((10, 3), dtype)
    values[7, 1] = bad
    with pytest.raises(DataError, match="batch 3: input 'x' holds NaN or infinity"):
        list(CalibrationData.from_arrays({"x": values}).batches(2))


def test_the_only_input_takes_the_only_array():
    bound = _data(10, image=np.zeros((10, 3), np.float32)).for_model([_spec("pixels")])
    assert list(next(iter(bound))) == ["pixels"]


def test_inputs_take_arrays_by_name():
    arrays = {"b": np.zeros((10, 2), np.int64), "a": np.ones((10, 3), np.float32)}
    bound = _data(**arrays).for_model([_spec("a"), _spec("b", "int64", ("N", 2))])
    feed = next(bound.batches(4))
    assert {name: (array.shape, array.dtype.name) for name, array in feed.items()} == {
        "a": ((4, 3), "float32"),
        "b": ((4, 2), "int64"),
    }


@pytest.mark.parametrize(
    ("arrays", "specs", "words"),
    [
        ("xz", "x", "extra 'z'"),
        ("x", "xz", "missing 'z'"),
        ("xq", "xz", "missing 'z'; extra 'q'"),
    ],
)
def test_says_which_names_are_expected_and_given(arrays, specs, words):
    data = _data(**{name: np.zeros((10, 3), np.float32) for name in arrays})
    with pytest.raises(DataError, match=words):
        data.for_model([_spec(name) for name in specs])


@pytest.mark.parametrize(
    ("shape", "spec", "words"),
    [
        ((10, 4), ("N", 3), "takes x: float32 Nx3, each sample is 4"),
        ((10, 3, 1, 1), ("N", 3), "each sample is 3x1x1"),
        ((10,), ("N", 3), "a single number"),
        ((10, 3, 8, 8), ("N", 8, 8, 3), "Nx8x8x3, each sample is 3x8x8"),
    ],
)
def test_says_which_shape_is_expected_and_given(shape, spec, words):
    with pytest.raises(DataError, match=words):
        _data(x=np.zeros(shape, np.float32)).for_model([_spec(shape=spec)])


@pytest.mark.parametrize("shape", [None, ("N", None), ("N", "width"), (None, 3)])
def test_free_dimensions_take_anything(shape):
    assert _data().for_model([_spec(shape=shape)]).fixed_batch is None


@pytest.mark.parametrize(
    ("shapes", "told"),
    [
        ([("N", "H", "H")], "'H', that differ: 4, 5"),
        ([("N", "N", "W")], "'N', that differ: 4, the batch"),
        ([("N", "H", "W"), ("N", "H")], "'H', that differ: 3, 4"),
        ([("N", "H", "W"), ("N", "other")], ""),
        ([("N", "", ""), ("", "")], ""),
        ([(None, None, None)], ""),
        ([None], ""),
        ([(1, "H", "H", "C"), (1, "H", "C")], "'C', that differ: 3, 5"),
    ],
)
def test_one_name_for_several_sizes_is_said(shapes, told):
    whole = len(shapes[0] or ()) == 4
    arrays = {"x": np.zeros((10, 1, 4, 4, 5) if whole else (10, 4, 5), np.float32)}
    if len(shapes) == 2:
        arrays["z"] = np.zeros((10, 1, 4, 3) if whole else (10, 3), np.float32)
    notes = _data(**arrays).for_model([_spec(n, shape=s) for n, s in zip("xz", shapes, strict=False)]).notes
    assert [told in note for note in notes] == ([True] if told else [])


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("float64", "float32"),
        ("float16", "float32"),
        ("int32", "int64"),
        ("uint8", "int64"),
        ("int64", "int32"),
    ],
)
def test_converts_where_nothing_is_lost_and_says_so(given, wanted):
    values = np.arange(30).reshape(10, 3).astype(given)
    bound = _data(x=values).for_model([_spec(dtype=wanted)])
    feed = next(bound.batches(10))
    assert feed["x"].dtype == wanted
    assert np.array_equal(feed["x"], values)
    assert "without loss" in bound.notes[0]


@pytest.mark.parametrize(
    ("value", "given", "wanted"),
    [
        (0.1, "float64", "float32"),
        (1e300, "float64", "float32"),
        (2**40, "int64", "int32"),
        (-1, "int64", "uint8"),
        (-1, "int32", "uint32"),
    ],
)
def test_refuses_to_lose_digits(value, given, wanted):
    values = np.zeros((10, 3), given)
    values[9, 2] = value
    with pytest.raises(DataError, match=f"takes {wanted}, {given} is given and would lose digits"):
        _data(x=values).for_model([_spec(dtype=wanted)])


@pytest.mark.parametrize(
    ("given", "wanted"), [("uint8", "float32"), ("float32", "int64"), ("bool", "float32")]
)
def test_refuses_another_kind_of_number(given, wanted):
    with pytest.raises(DataError, match=f"input 'x' takes {wanted}, {given} is given"):
        _data(x=np.zeros((10, 3), given)).for_model([_spec(dtype=wanted)])


def test_a_fixed_batch_drops_what_is_left_over():
    bound = _data().for_model([_spec(shape=(4, 3))])
    assert (len(bound), bound.fixed_batch) == (8, 4)
    assert [len(feed["x"]) for feed in bound.batches(32)] == [4, 4]
    assert bound.notes == ("2 trailing samples were dropped: the model takes batches of 4",)
    assert len(bound.labels) == 8


def test_parts_of_a_fixed_batch_are_whole_batches():
    bound = _data(40).for_model([_spec(shape=(4, 3))])
    assert [len(part) for part in bound.split(0.3)] == [28, 12]
    assert len(bound.subset(10)) == 8


def test_a_fixed_batch_needs_that_many_samples():
    with pytest.raises(DataError, match="takes batches of 16, 10 samples are given"):
        _data().for_model([_spec(shape=(16, 3))])


def test_whole_feeds_have_one_more_dimension():
    arrays = {
        "x": np.zeros((10, 1, 3), np.float32),
        "state": np.zeros((10, 2, 1, 4), np.float32),
        "rate": np.arange(10),
    }
    specs = [_spec(shape=(1, 3)), _spec("state", shape=(2, 1, 4)), _spec("rate", "int64", ())]
    bound = _data(**arrays).for_model(specs)
    feeds = list(bound.batches(32))
    assert len(feeds) == 10
    assert {name: array.shape for name, array in feeds[3].items()} == {
        "x": (1, 3),
        "state": (2, 1, 4),
        "rate": (),
    }
    assert int(feeds[3]["rate"]) == 3


def test_inputs_that_disagree_on_the_batch():
    arrays = {"x": np.zeros((10, 3), np.float32), "z": np.zeros((10, 3), np.float32)}
    with pytest.raises(DataError, match="different first dimensions"):
        _data(**arrays).for_model([_spec(shape=(2, 3)), _spec("z", shape=(5, 3))])
