"""The inputs of the comparison."""

from __future__ import annotations

import numpy as np
import pytest
from sardonyx.core.errors import UsageError
from sardonyx.exporter import ExportOptions, InputShape
from sardonyx.exporter.cases import example_feed, make_cases


def options(dynamic=None, shape=(1, 3), **spec) -> ExportOptions:
    return ExportOptions({"x": InputShape(shape, **spec)}, dynamic=dynamic)


@pytest.mark.parametrize(
    ("dynamic", "shapes"),
    [
        (None, {(1, 3), (2, 3), (5, 3)}),
        ({}, {(1, 3)}),
        ({"x": {1: "time"}}, {(1, 3), (1, 6)}),
        ({"x": {0: "n", 1: "time"}}, {(1, 3), (2, 3), (5, 3), (2, 6)}),
    ],
)
def test_sizes_follow_the_free_axes(dynamic, shapes) -> None:
    assert {case.feed["x"].shape for case in make_cases(options(dynamic))} == shapes


def test_kinds_and_seed() -> None:
    first, again = make_cases(options()), make_cases(options())
    assert [c.kind for c in first[:3]] == ["normal", "zeros", "extreme"]
    assert all(np.array_equal(a.feed["x"], b.feed["x"]) for a, b in zip(first, again, strict=True))
    assert np.abs(next(c for c in first if c.name == "extreme, batch 5").feed["x"]).max() == 1e4


@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_integers_stay_in_range(dtype) -> None:
    arrays = [c.feed["x"] for c in make_cases(options(dtype=dtype, high=2))]
    assert {a.dtype for a in arrays} == {np.dtype(dtype)}
    assert {int(v) for a in arrays for v in a.ravel()} == {0, 1}


def test_example_has_no_free_axis_of_one() -> None:
    assert example_feed(options())["x"].shape == (2, 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ExportOptions({}),
        lambda: InputShape((0, 3)),
        lambda: InputShape((1,), dtype="str"),
        lambda: options({"y": {0: "batch"}}),
        lambda: options({"x": {2: "batch"}}),
        lambda: options({"x": {0: "not a name"}}),
        lambda: ExportOptions({"x": InputShape((1,))}, rtol=-1.0),
        lambda: ExportOptions({"x": InputShape((1,))}, exporters=("magic",)),
    ],
)
def test_options_are_checked(make) -> None:
    with pytest.raises(UsageError):
        make()
