"""Names come from files that anyone may have written: what is shown of them is cut and without controls."""

from __future__ import annotations

import unicodedata

LONGEST = 96
"""Characters of a name that are shown."""

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that are not shown as they are: controls, direction marks, surrogates, unassigned."""


def clean(text: str, longest: int = LONGEST) -> str:
    """Make a text safe to show: one line, no control or direction characters, cut in the middle.

    Args:
        text: The text, which may be a megabyte of anything.
        longest: Most characters in the result.
    """
    if len(text) > longest:
        head = (longest - 1) * 2 // 3
        text = f"{text[:head]}…{text[len(text) - (longest - 1 - head) :]}"
    return "".join("\ufffd" if unicodedata.category(c) in _HIDDEN else c for c in text)
