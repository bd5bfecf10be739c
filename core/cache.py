"""Measurements that are worth keeping between runs, in the user's cache folder. Whatever is in it may be deleted."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from .files import write_atomic


def cache_folder() -> Path:
    """Where measurements are kept: ``SARDONYX_CACHE``, or ``sardonyx`` in the folder that the system has for it."""
    if given := os.environ.get("SARDONYX_CACHE"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or _home(), "sardonyx")
    if sys.platform == "darwin":
        return _home() / "Library" / "Caches" / "sardonyx"
    return Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache", "sardonyx")


def _home() -> Path:
    """The user's folder; where the system knows none, a place in which nothing can be kept."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull)


def cache_path(kind: str, **key: str | float) -> Path:
    """The file of one measurement.

    Args:
        kind: What is measured; a folder's name.
        key: All that it depends on.
    """
    text = json.dumps(key, sort_keys=True)
    return cache_folder() / kind / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def read_cached(path: Path) -> Any | None:
    """The document that is kept in a file; None where there is none, or none that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError):
        return None


def write_cached(path: Path, document: Any) -> None:
    """Keep a document.

    Raises:
        OSError: The folder cannot be made.
        StorageError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(document).encode())
