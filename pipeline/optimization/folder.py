"""The folder of a search: empty, or holding a search that is to go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ...core.errors import UsageError
from ...core.files import write_atomic
from ..documents import json_bytes
from ..lock import locked
from ..monitor import Monitor
from ..workspace import forget, prepare_folder
from .ledger import JOURNAL

SEARCH = "search.json"
"""The file by which the folder of a search is known."""


@contextmanager
def held_folder(folder: Path, monitor: Monitor, *, resume: bool, force: bool) -> Iterator[Path]:
    """The folder of a search, as :func:`open_folder` makes it, held while the block runs.

    Args:
        folder: The folder.
        monitor: Is told of a search that is joined, and of a lock whose process has died.
        resume: Whether an earlier search goes on, or one that is running is joined.
        force: Whether an earlier search is forgotten.

    Raises:
        UsageError: As there; or a process searches in it, and is not to be joined.
        StorageError: It cannot be made, or its lock cannot be written.
    """
    prepare_folder(folder, resume=resume, force=force, mark=SEARCH, what="search")
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder, monitor))
        except UsageError as error:
            if not resume:
                raise
            monitor.note(f"{error.cause}, and is joined")
        yield open_folder(folder, resume=resume, force=force)


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
    prepare_folder(folder, resume=resume, force=force, mark=SEARCH, what="search")
    if force and not resume:
        forget(folder)
        for name in (JOURNAL, f"{JOURNAL}.lock"):
            (folder / name).unlink(missing_ok=True)
    write_atomic(folder / SEARCH, json_bytes({"format": 1}))
    return folder
