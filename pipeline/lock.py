"""One run in a folder at a time: a lock file that names its process and outlives none."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core.errors import StorageError, UsageError
from ..core.files import alone_in, write_new
from .monitor import Monitor

LOCK_NAME = ".lock"
"""Name of the lock file inside a run's folder."""

_GRACE_S = 5.0
"""A lock without an owner is stale when it is older than this."""


@contextmanager
def locked(folder: Path, monitor: Monitor) -> Iterator[None]:
    """Hold the lock of a folder; a lock whose process has died is broken, and that is said.

    Args:
        folder: The folder, which exists.
        monitor: Is told of a broken lock.

    Raises:
        UsageError: A living process holds the lock; the error names it.
        StorageError: The lock cannot be written.
    """
    path = folder / LOCK_NAME
    if not _claim(path):
        with alone_in(folder):
            _break_stale(path, monitor)
            is_mine = _claim(path)
        if not is_mine:
            raise _held(path, _owner(path))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _claim(path: Path) -> bool:
    """Create the lock; False where it exists."""
    content = json.dumps({"pid": os.getpid(), "started": start_of(os.getpid())})
    try:
        return write_new(path, content.encode())
    except OSError as error:
        raise StorageError(
            f"cannot write the lock {path}: {error.strerror or error}", remedy="choose another output folder"
        ) from error


def _break_stale(path: Path, monitor: Monitor) -> None:
    """Remove the lock if its process is gone; nobody else is breaking it, or has just broken and claimed it."""
    owner = _owner(path)
    if _is_held(path, owner):
        raise _held(path, owner)
    path.unlink(missing_ok=True)
    who = "a process that ended before it wrote its number" if owner is None else f"process {owner[0]}"
    monitor.note(f"broke the lock of {who}, which is not running any more")


def _is_held(path: Path, owner: tuple[int, str] | None) -> bool:
    """Whether a living process holds the lock; one that says nothing is given a moment to say it."""
    if owner is not None:
        return is_alive(*owner)
    try:
        return time.time() - path.stat().st_mtime < _GRACE_S
    except FileNotFoundError:
        return False


def _held(path: Path, owner: tuple[int, str] | None) -> UsageError:
    who = "another process" if owner is None else f"process {owner[0]}"
    return UsageError(
        f"{who} is running in {path.parent}",
        remedy=f"wait for it or choose another folder; if nothing runs there, delete {path}",
    )


def _owner(path: Path) -> tuple[int, str] | None:
    """Process number and start of a lock's owner; None where the file does not say."""
    try:
        content = json.loads(path.read_text(encoding="utf8"))
        return int(content["pid"]), str(content["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_alive(pid: int, started: str) -> bool:
    """Whether a process of this machine is still running.

    Args:
        pid: Its number.
        started: What :func:`start_of` said of it when it ran; empty where that could not be read.
    """
    if os.name == "nt":  # a signal 0 would end the process there: without proof, it lives
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not started or start_of(pid) == started


def start_of(pid: int) -> str:
    """When a process started, as the kernel counts it; empty where it has ended, or that cannot be read."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf8").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf8").strip()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else f"{boot}:{fields[19]}"  # a zombie: nobody has asked how it ended
