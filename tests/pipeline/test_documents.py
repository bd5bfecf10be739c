"""Results as plain data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sardonyx.pipeline.documents import json_bytes, plain


@dataclass
class Row:
    name: str
    values: tuple[float, ...]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (float("nan"), None),
        (float("-inf"), None),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (Path("a/b"), "a/b"),
        ({1: (2, None)}, {"1": [2, None]}),
        (frozenset({"b", "a"}), ["a", "b"]),
        (Row("x", (1.0, float("inf"))), {"name": "x", "values": [1.0, None]}),
    ],
)
def test_results_become_plain(value: object, expected: object) -> None:
    assert plain(value) == expected


def test_json_is_ascii_and_parses() -> None:
    content = json_bytes(Row("é\u202e", (1.5,)))
    assert content.isascii()
    assert json.loads(content) == {"name": "é\u202e", "values": [1.5]}


def test_what_has_no_plain_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no plain form"):
        plain({"x": object()})
