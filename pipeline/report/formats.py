"""Numbers as text for people."""

from __future__ import annotations

import math

from .model import Measured

NOTHING = "–"
"""Stands where there is no number."""

_MINUS = "−"

_GAP = "\u00a0"
"""Keeps a number and its unit on one line."""


def count(value: int | None) -> str:
    """A count in three digits: ``1.08 M``."""
    return NOTHING if value is None else _scaled(float(value), 1000.0, ("", "k", "M", "G", "T"))


def size(value: int | None) -> str:
    """Bytes in three digits, in powers of 1000: ``4.41 MB``."""
    return NOTHING if value is None else _scaled(float(value), 1000.0, ("B", "kB", "MB", "GB", "TB"))


def milliseconds(value: float | None) -> str:
    """A time in three digits: ``1.33 ms``."""
    return NOTHING if value is None else f"{digits(value)}{_GAP}ms"


def microseconds(value: float | None) -> str:
    """A time in three digits: ``12.3 µs``."""
    return NOTHING if value is None else f"{digits(value)}{_GAP}µs"


def duration(seconds: float | None) -> str:
    """A duration: ``0.4 s``, ``2 min 05 s``, ``1 h 02 min``."""
    if seconds is None:
        return NOTHING
    if seconds < 60:
        return f"{seconds:.1f}{_GAP}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def digits(value: float, significant: int = 3) -> str:
    """A number with a few significant digits and no exponent between 0.001 and a million."""
    if not math.isfinite(value):
        return "∞" if value > 0 else f"{_MINUS}∞" if value < 0 else "undefined"
    if value == 0 or not 1e-3 <= abs(value) < 1e6:
        return f"{value:.{significant - 1}g}".replace("-", _MINUS)
    exponent = int(f"{value:.{significant - 1}e}".partition("e")[2])  # of the rounded number: 999.9 has 3
    places = max(significant - 1 - exponent, 0)
    return f"{value:.{places}f}".replace("-", _MINUS)


def times(value: float) -> str:
    """A factor: ``2.84×``."""
    return f"{digits(value)}×"


def score(value: float | None, *, is_share: bool) -> str:
    """A metric: ``88.06 %`` for a share, else four digits."""
    if value is None:
        return NOTHING
    return f"{100 * value:.2f}{_GAP}%".replace("-", _MINUS) if is_share else digits(value, 4)


def change(value: float, *, is_share: bool) -> str:
    """A signed difference of a metric: ``+0.20 points`` for a share."""
    sign = _MINUS if value < 0 else "+" if value > 0 else "±"
    amount = f"{abs(100 * value):.2f} points" if is_share else digits(abs(value), 3)
    return f"{sign}{amount}"


def interval(measured: Measured | None, *, is_share: bool = False) -> str:
    """The ends of an interval without units; empty where there is none."""
    if measured is None or measured.low is None or measured.high is None:
        return ""
    ends = (measured.low, measured.high)
    if is_share:
        return f"{_GAP}–{_GAP}".join(f"{100 * end:.2f}".replace("-", _MINUS) for end in ends)
    return f"{_GAP}–{_GAP}".join(digits(end) for end in ends)


def _scaled(value: float, base: float, units: tuple[str, ...]) -> str:
    index = 0
    while abs(value) >= 999.5 and index < len(units) - 1:
        value /= base
        index += 1
    number = f"{value:.0f}" if index == 0 else digits(value)
    return f"{number}{_GAP}{units[index]}" if units[index] else number
