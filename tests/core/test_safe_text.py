"""Names as they may be shown."""

from __future__ import annotations

import pytest
from sardonyx.core.safe_text import clean


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\x1b[0m", "a\ufffd[0m"), ("x\u202ey", "x\ufffdy"), ("a" * 10, "aaaa…aaa"), ("é", "é")],
)
def test_unsafe_text(text: str, shown: str) -> None:
    assert clean(text, 8) == shown
