"""One line of the configuration of a reduced build of ONNX Runtime."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_HEAD = re.compile(r"([\w.-]+)\s*;\s*(\d+(?:\s*,\s*\d+)*)\s*;")
_NAME = re.compile(r"\s*([A-Za-z_]\w*)\s*")
_LONGEST = 1 << 20
_DECODER = json.JSONDecoder()


class Entry(NamedTuple):
    """What a line says.

    Attributes:
        keys: Operator sets, as ``ai.onnx;13``.
        names: The operators of each of them.
        accepted: Types by operator and place, for those that have a list.
    """

    keys: tuple[str, ...]
    names: tuple[str, ...]
    accepted: dict[str, Mapping[str, tuple[str, ...]]]


def parse_line(line: str) -> Entry | None:
    """Read a line.

    Returns:
        What it says; None for a comment and an empty line.

    Raises:
        ValueError: The line is malformed; the message says how.
    """
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    if len(line) > _LONGEST:
        raise ValueError("longer than any list of operators")
    if line.startswith("!"):
        raise ValueError(f"{line.split(';')[0]} is not supported, only lists of operators are")
    head = _HEAD.match(line)
    if head is None:
        raise ValueError("it is not domain;opset;operators")
    domain = head[1]
    keys = tuple(f"{domain};{int(version)}" for version in head[2].split(","))
    names: list[str] = []
    accepted: dict[str, Mapping[str, tuple[str, ...]]] = {}
    place = head.end()
    while True:
        name = _NAME.match(line, place)
        if name is None:
            raise ValueError(f"an operator is expected at column {place + 1}")
        names.append(name[1])
        place = name.end()
        if line.startswith("{", place):
            accepted[f"{domain}:{name[1]}"], place = _types_at(line, place)
        if place == len(line):
            return Entry(keys, tuple(names), accepted)
        if line[place] != ",":
            raise ValueError(f"a comma is expected at column {place + 1}")
        place += 1


def type_list(parsed: Any) -> Mapping[str, tuple[str, ...]]:
    """A type list in plain words: ``{"inputs": {"0": ["int64_t"]}}`` becomes ``{"inputs 0": ("int64",)}``.

    Raises:
        ValueError: It is no type list.
    """
    if not isinstance(parsed, dict) or not set(parsed) <= {"inputs", "outputs", "custom"}:
        raise ValueError("a type list has inputs, outputs or custom")
    found: dict[str, tuple[str, ...]] = {}
    for side in ("inputs", "outputs"):
        places = parsed.get(side, {})
        if not isinstance(places, dict) or not all(index.isdecimal() for index in places):
            raise ValueError(f"{side} of a type list are listed by number")
        for index, types in places.items():
            found[f"{side} {int(index)}"] = _plain(types)
    if "custom" in parsed:
        found["custom"] = _triples(parsed["custom"])
    return found


def _types_at(line: str, place: int) -> tuple[Mapping[str, tuple[str, ...]], int]:
    try:
        parsed, end = _DECODER.raw_decode(line, place)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the types at column {place + 1} are not JSON") from error
    spaces = len(line[end:]) - len(line[end:].lstrip())
    return type_list(parsed), end + spaces


def _triples(listed: Any) -> tuple[str, ...]:
    """Types that belong together, such as the three of a OneHot, each joined by commas."""
    if not isinstance(listed, list) or not listed:
        raise ValueError("custom types are a list of lists")
    return tuple(sorted(",".join(_plain(triple, is_sorted=False)) for triple in listed))


def _plain(types: Any, *, is_sorted: bool = True) -> tuple[str, ...]:
    """C++ names as onnx calls them: ``uint8_t`` is uint8, ``MLFloat16`` float16, ``std::string`` string."""
    if not isinstance(types, list) or not all(isinstance(t, str) for t in types):
        raise ValueError("types are a list of names")
    names = [t.removeprefix("std::").removesuffix("_t").removeprefix("ML").lower() for t in types]
    return tuple(sorted(names) if is_sorted else names)
