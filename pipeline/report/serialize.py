"""A report as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...core.files import check_output, write_atomic
from ..documents import json_bytes, plain


def to_json(value: Any) -> Any:
    """Turn dataclasses, numpy values, paths and what they hold into plain data; NaN and infinity become None.

    Raises:
        TypeError: A value is of no kind that has a plain form.
    """
    return plain(value)


def write_json(value: Any, path: str | Path, *, force: bool = False) -> None:
    """Write a report or any other result as JSON, atomically.

    Args:
        value: The report.
        path: The file; its folder exists.
        force: Whether an existing file may be replaced.

    Raises:
        UsageError: The file exists and ``force`` is false.
        StorageError: It cannot be written; an existing file is unchanged.
    """
    check_output(Path(path), force=force)
    write_atomic(Path(path), json_bytes(value))
