"""Results as plain data: what ``json`` can write, the same bytes for the same content."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Turn a result into dictionaries, lists, text, numbers and None.

    Numbers that JSON cannot hold (NaN, infinities) become None.

    Args:
        value: A dataclass, mapping, sequence, numpy value or anything inside one.

    Returns:
        Plain data.

    Raises:
        TypeError: The value is of no kind that has a plain form.
    """
    match value:
        case None | bool() | str():
            return value
        case enum.Enum():
            return plain(value.value)
        case int() | np.integer():
            return int(value)
        case float() | np.floating():
            return float(value) if math.isfinite(value) else None
        case np.bool_():
            return bool(value)
        case np.ndarray():
            return plain(value.tolist())
        case PurePath():
            return str(value)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case set() | frozenset():
            return [plain(item) for item in sorted(value)]
        case list() | tuple():
            return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} has no plain form")


def json_bytes(value: Any) -> bytes:
    """Plain data as indented JSON that ends with a line break."""
    return (json.dumps(plain(value), indent=2, allow_nan=False) + "\n").encode("ascii")
