"""Files with a few bytes changed: flipped, overwritten, cut out, doubled, moved, cut off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MOST_CHANGES = 12
MOST_BYTES = 32
"""Of one change."""

TELLING = (
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"null",
    b'"',
    b"{",
    b"]",
    b"\n",
    b"..",
)
TELLING += (
    b"\xff\xff\xff\xff\x0f",
    b"\xff" * 9 + b"\x01",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"../",
    b"\xed\xa0\x80",
)
"""Ends of ranges, of texts and of brackets, and what is no number, no name and no UTF-8."""

Change = Callable[[bytearray, int, int, np.random.Generator], int]


@dataclass(frozen=True)
class Mutated:
    """A changed file, and how many bytes of it were touched."""

    content: bytes
    changed: int


def mutate(content: bytes, random: np.random.Generator) -> Mutated:
    """Make one to :data:`MOST_CHANGES` changes, few more often than many."""
    data, changed = bytearray(content), 0
    for _ in range(min(int(random.geometric(0.3)), MOST_CHANGES)):
        change = CHANGES[random.integers(len(CHANGES))]
        at = int(random.integers(len(data))) if data else 0
        changed += change(data, at, int(random.integers(1, MOST_BYTES)), random)
    return Mutated(bytes(data), changed)


def flip(data: bytearray, at: int, _: int, random: np.random.Generator) -> int:
    if data:
        data[at] ^= 1 << int(random.integers(8))
    return 1


def overwrite(data: bytearray, at: int, size: int, random: np.random.Generator) -> int:
    data[at : at + size] = random.bytes(size)
    return size


def tell(data: bytearray, at: int, size: int, random: np.random.Generator) -> int:
    word = TELLING[random.integers(len(TELLING))]
    data[at : at + (len(word) if size % 2 else 0)] = word
    return len(word)


def cut_out(data: bytearray, at: int, size: int, _: np.random.Generator) -> int:
    gone = len(data[at : at + size])
    del data[at : at + size]
    return gone


def double(data: bytearray, at: int, size: int, _: np.random.Generator) -> int:
    again = data[at : at + size]
    data[at:at] = again
    return len(again)


def move(data: bytearray, at: int, size: int, random: np.random.Generator) -> int:
    moved = data[at : at + size]
    del data[at : at + size]
    to = int(random.integers(len(data) + 1))
    data[to:to] = moved
    return len(moved)


def cut_off(data: bytearray, at: int, size: int, _: np.random.Generator) -> int:
    gone = min(size, len(data))
    del data[len(data) - gone :]
    return gone


def overwrite_number(data: bytearray, at: int, size: int, random: np.random.Generator) -> int:
    """Four or eight bytes as a length or an offset: small, about the file's size, or huge."""
    width = 8 if size % 2 else 4
    sizes = (0, 1, len(data) - 1, len(data) + 1, 2**31 - 1, 2**32 - 1, 2**63 - 1)
    number = sizes[random.integers(len(sizes))] % (1 << (8 * width))
    data[at : at + width] = number.to_bytes(width, "little")
    return width


CHANGES: tuple[Change, ...] = (flip, flip, overwrite, tell, cut_out, double, move, cut_off, overwrite_number)
