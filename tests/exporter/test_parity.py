"""Comparing outputs against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sardonyx.exporter.parity import compare_output, constant_outputs, tolerance_for

NAN, INF = float("nan"), float("inf")


def compare(wanted, got, **options):
    return compare_output("case", "y", np.array(wanted, np.float32), np.array(got, np.float32), **options)


def test_factor_and_difference() -> None:
    row = compare([0.0, 2.0], [0.5, 2.0], rtol=0.25, atol=0.25)
    assert (row.max_difference, row.magnitude, row.required_factor, row.is_passed) == (0.5, 2.0, 2.0, False)


def test_factor_of_one_just_passes() -> None:
    assert compare([2.0], [2.5], rtol=0.125, atol=0.25).is_passed


def test_no_factor_helps_without_tolerance() -> None:
    row = compare([0.0], [0.5], rtol=0.1, atol=0.0)
    assert (row.required_factor, row.is_passed) == (None, False)


@pytest.mark.parametrize(
    ("wanted", "got", "problem"),
    [
        ([NAN, 1.0], [1.0, NAN], "NaN in only one of the two at 2 of 2 places"),
        ([INF, 1.0], [-INF, 1.0], "+inf in only one"),
        ([[1.0]], [1.0], "shape"),
    ],
)
def test_what_no_tolerance_mends(wanted, got, problem) -> None:
    row = compare(wanted, got, rtol=0.9, atol=0.9)
    assert not row.is_passed
    assert row.required_factor is None
    assert problem in row.problem


def test_other_type_fails() -> None:
    row = compare_output("case", "y", np.ones(2, np.float32), np.ones(2, np.float64))
    assert row.problem == "type float64, the module gives float32"


def test_same_nan_and_infinity_pass() -> None:
    row = compare([NAN, INF, -INF, 1.0], [NAN, INF, -INF, 1.0])
    assert (row.is_passed, row.max_difference) == (True, 0.0)


def test_empty_passes_with_nothing_compared() -> None:
    assert compare([], []).is_passed


def test_tolerance_follows_type_and_magnitude() -> None:
    assert tolerance_for(np.dtype(np.float32), 10.0) == (1e-4, pytest.approx(1e-4))
    assert tolerance_for(np.dtype(np.int64), 10.0) == (0.0, 0.0)


def test_floor_serves_outputs_that_are_zero() -> None:
    assert not compare([0.0], [1e-6]).is_passed
    assert compare([0.0], [1e-6], floor=1.0).is_passed


def test_small_outputs_get_no_slack() -> None:
    assert not compare([1e-6, 2e-6], [2e-6, 1e-6]).is_passed


def test_constant_outputs_are_named() -> None:
    one, two = np.ones(2, np.float32), np.zeros(2, np.float32)
    assert constant_outputs({"a": {"x": one, "y": one}, "b": {"x": one, "y": two}}) == ["x"]
