"""Patterns over names."""

from __future__ import annotations

import pytest
from sardonyx.passes.globs import first_glob


@pytest.mark.parametrize(
    ("names", "globs", "found"),
    [
        (("conv1", "w"), ("x*", "conv*", "*"), "conv*"),
        (("conv1", "w"), ("W",), None),
        ((), ("*",), None),
        (("a",), (), None),
        (iter(["a", "b"]), iter(["c", "b"]), "b"),
    ],
)
def test_the_first_pattern_that_matches_any_name_is_found(names, globs, found):
    assert first_glob(names, globs) == found
