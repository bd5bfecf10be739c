"""Text for terminals: names from hostile files made harmless, numbers with units, plain tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..core.errors import UsageError

_LONGEST = 60
"""Names longer than this are cut in tables."""

LONGEST_LINE = 1000
"""Sentences longer than this are cut: a name in them may be a megabyte of anything."""


def clean(text: object) -> str:
    """Text that cannot move a cursor, change a colour or reverse a line: unprintable characters are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))


def shorten(text: object, longest: int = _LONGEST) -> str:
    """Cleaned text of at most ``longest`` characters; the middle of a longer one is left out."""
    whole = clean(text)
    if len(whole) <= longest:
        return whole
    half = (longest - 1) // 2
    return f"{whole[:half]}…{whole[-half:]}"


def count(number: float | None) -> str:
    """A number of things: ``11.7 M``; ``?`` where it is unknown."""
    if number is None:
        return "?"
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:g}"


def size(number: float | None) -> str:
    """A number of bytes: ``46.8 MB``."""
    return "?" if number is None else f"{count(number)}{'' if abs(number) >= 1e3 else ' '}B"


_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}


def parse_size(text: str) -> int:
    """A number of bytes as people write it: ``512MB``, ``1.5 GB``, ``2GiB`` or ``4096``.

    Raises:
        UsageError: It is something else, or less than one byte.
    """
    match = re.fullmatch(r"([0-9]{1,18}(?:[.][0-9]{1,18})?) ?([kmgt]i?)?b?", text.strip().lower())
    found = int(float(match[1]) * _UNITS[match[2] or ""]) if match else 0
    if found < 1:
        raise UsageError(f"{shorten(text)!r} is not a size in bytes", remedy="write it like 512MB or 2GB")
    return found


_SECONDS = {"h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0, "": 1.0}


def parse_duration(text: str) -> float:
    """Seconds as people write them: ``90``, ``90s``, ``10m``, ``1.5h`` or ``1h30m``.

    Raises:
        UsageError: It is something else, or no time at all.
    """
    parts = re.findall(r"([0-9]{1,9}(?:[.][0-9]{1,9})?)(h|min|m|s|)", lowered := text.strip().lower())
    found = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != lowered or found <= 0:
        raise UsageError(f"{shorten(text)!r} is not a time", remedy="write it like 90s, 10m or 1h30m")
    return found


def parse_share(text: str) -> float:
    """A share as people write it: ``5%``, ``0.05``.

    Raises:
        UsageError: It is something else.
    """
    match = re.fullmatch(r"([0-9]{1,9}(?:[.][0-9]{1,18})?|[.][0-9]{1,18}) ?(%?)", text.strip())
    if match is None:
        raise UsageError(f"{shorten(text)!r} is not a share", remedy="write it like 5% or 0.05")
    return float(match[1]) / (100.0 if match[2] else 1.0)


def share(part: float | None, whole: float | None) -> str:
    """What is left of a whole: ``0.512``; ``?`` where either is unknown."""
    return "?" if part is None or not whole else f"{part / whole:.3f}"


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns of cleaned text: the first column to the left, numbers to the right."""
    cells = [list(headings), *([shorten(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    numeric = [all(_is_number(row[i]) for row in cells[1:]) for i in range(len(headings))]
    lines = (
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def _is_number(text: str) -> bool:
    return text[:1].isdigit() or text[:1] in {"-", "+", "?", ""}
