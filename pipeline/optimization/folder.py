"""The folder of a search: empty, or holding a search that is to go on."""

from __future__ import annotations

import re
from pathlib import Path

from ...core.errors import StorageError, UsageError
from ...core.files import write_atomic
from ..documents import json_bytes
from ..workspace import forget
from .ledger import JOURNAL

SEARCH = "search.json"
"""The file by which the folder of a search is known."""


def open_folder(folder: Path, *, resume: bool, force: bool) -> Path:
    """Make the folder of a search, or take up what is there.

    Args:
        folder: The folder; those above it are made too.
        resume: Whether an earlier search goes on, or one that is running is joined.
        force: Whether an earlier search is forgotten.

    Raises:
        UsageError: It holds something, and neither flag was given; or it is not the folder of a search.
        StorageError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        pass  # a file: refused below
    except OSError as error:
        raise StorageError(
            f"cannot make the folder {folder}: {error.strerror or error}",
            remedy="choose another output folder",
        ) from error
    if not folder.is_dir():
        raise UsageError(f"output {folder} is not a folder", remedy="choose another output path")
    names = {p.name for p in folder.iterdir() if not re.fullmatch(r"\..*\.tmp", p.name)}
    if names and SEARCH not in names:
        raise UsageError(
            f"folder {folder} holds files that no search has written",
            remedy="choose an empty or a new folder",
        )
    if names and not (resume or force):
        raise UsageError(
            f"folder {folder} holds an earlier search",
            remedy="--resume goes on with it or joins it, --force starts it again",
        )
    if names and force and not resume:
        forget(folder)
        for name in (JOURNAL, f"{JOURNAL}.lock"):
            (folder / name).unlink(missing_ok=True)
    write_atomic(folder / SEARCH, json_bytes({"format": 1}))
    return folder
