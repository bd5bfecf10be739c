"""Matching axes before and after a reshape."""

from __future__ import annotations

import pytest
from sardonyx.passes.coupling.rules.layout import Run, factor_runs


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (("N", 4, 3, 3), ("N", 36), [Run((0,), (0,)), Run((1, 2, 3), (1,))]),
        (("N", 6, 16), ("M", 6, 4, 4), [Run((0,), (0,)), Run((1,), (1,)), Run((2,), (2, 3))]),
        (("N", 6, 16), (None, 16), [Run((0, 1), (0,)), Run((2,), (1,))]),
        ((2, 1, 8), (2, 8), [Run((0,), (0,)), Run((2,), (1,))]),
        ((6, 4), (8, 3), [Run((0, 1), (0, 1))]),
    ],
)
def test_runs_are_the_shortest_of_equal_product(before, after, expected):
    assert sorted(factor_runs(before, after), key=lambda r: r.before) == expected
