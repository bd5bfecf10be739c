"""Emptying the CPU's caches ahead of a run, as far as a program can: by walking a buffer larger than they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

ASSUMED_BYTES = 64 * 2**20
"""What the last-level cache is taken to hold where the system does not tell."""

_LINE_BYTES = 64
_FACTOR = 2
_CPU = Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


def last_level_bytes(folder: Path = _CPU) -> int | None:
    """Size of the largest cache of a core, as Linux tells it; None where it does not.

    Args:
        folder: Where the system describes the caches.
    """
    found = []
    for path in folder.glob("index*/size"):
        text = path.read_text(encoding="ascii", errors="replace").strip()
        if text[:-1].isdigit() and text[-1:] in _UNITS:
            found.append(int(text[:-1]) * _UNITS[text[-1]])
    return max(found, default=None)


def cache_walk(cache_bytes: int) -> Callable[[], None]:
    """What evicts everything from a cache of this size: a write to every line of a buffer twice as large.

    The calling core's own caches are emptied with it. Those of other cores that a run uses keep what they hold, unless
    the shared cache includes them.

    Args:
        cache_bytes: Size of the last-level cache.
    """
    buffer = np.zeros(_FACTOR * cache_bytes, np.uint8)
    lines = buffer[::_LINE_BYTES]

    def walk() -> None:
        np.add(lines, 1, out=lines)

    return walk
