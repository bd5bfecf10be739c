"""Writing files so that either the complete old or the complete new output exists.

Everything is written aside, fsynced, and renamed over the destination; the folder is fsynced last. Nothing
else in the project writes a file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from .errors import StorageError, UsageError


def check_output(path: Path, *, force: bool = False, inputs: Sequence[Path] = ()) -> None:
    """Refuse an output that could not, or should not, be written. Call it before the work starts.

    Args:
        path: The file or folder to be written.
        force: Whether an existing output may be replaced.
        inputs: Files that are read; none of them may be the output.

    Raises:
        UsageError: The output is one of the inputs, or exists and ``force`` is false.
        StorageError: The folder that would hold it is missing or read-only.
    """
    if any(_is_same(path, source) for source in inputs):
        raise UsageError(f"output {path} is also an input", remedy="choose another output path")
    if path.exists() and not force:
        raise UsageError(f"output {path} exists", remedy="choose another path, or pass --force to replace it")
    parent = path.absolute().parent
    if not parent.is_dir():
        raise StorageError(f"folder {parent} does not exist", remedy="create it first")
    if not os.access(parent, os.W_OK):
        raise StorageError(f"folder {parent} cannot be written", remedy="choose another output path")


def write_atomic(path: Path, content: bytes | Callable[[BinaryIO], None]) -> None:
    """Write a file so that a crash leaves the old content or the new, never a part.

    Args:
        path: The file to write; its folder exists.
        content: The bytes, or a function that writes them to an open file.

    Raises:
        StorageError: The disk is full or the folder cannot be written; an existing file is unchanged.
    """
    aside = _aside(path)
    try:
        with open(aside, "xb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
        sync_folder(path.absolute().parent)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}", remedy=_REMEDY) from error
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Fill a folder aside and rename it into place when the block ends without an error.

    Args:
        path: The folder to create or, with ``force``, replace.
        force: Whether an existing folder may be replaced.

    Yields:
        The temporary folder to fill.

    Raises:
        UsageError: The output exists and ``force`` is false, or is not a folder.
        StorageError: The disk is full or the parent cannot be written.
    """
    check_output(path, force=force)
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise UsageError(f"output {path} is not a folder", remedy="choose another output path")
    aside = _aside(path)
    try:
        aside.mkdir()
        yield aside
        _sync_tree(aside)
        _put_in_place(aside, path)
        sync_folder(path.absolute().parent)
    except OSError as error:
        if not _is_about_writing(error, aside, path):
            raise
        raise StorageError(f"cannot write {path}: {error.strerror or error}", remedy=_REMEDY) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def sync_folder(path: Path) -> None:
    """Flush a folder's entries to disk, where the platform can."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_REMEDY = "free some space or choose another output path; nothing that existed was changed"


_FULL = frozenset({errno.ENOSPC, errno.EFBIG, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)})


def _aside(path: Path) -> Path:
    """A name beside the output that nothing else has, however long the output's own is."""
    start = path.name.encode()[:100].decode(errors="ignore")
    return path.with_name(f".{start}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def _put_in_place(aside: Path, path: Path) -> None:
    """Rename a folder over another, which is put back where the second renaming fails."""
    if not path.exists():
        os.replace(aside, path)
        return
    old = aside.with_suffix(".old")
    os.replace(path, old)
    try:
        os.replace(aside, path)
    except BaseException:
        os.replace(old, path)
        raise
    shutil.rmtree(old)


def _is_about_writing(error: OSError, *places: Path) -> bool:
    """Whether an error in the block comes from the output, and not from something that was read."""
    named = [Path(os.fsdecode(n)) for n in (error.filename, error.filename2) if isinstance(n, (str, bytes))]
    inside = any(place == name or place in name.parents for name in named for place in places)
    return error.errno in _FULL or inside


def _is_same(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except OSError:
        return first.absolute() == second.absolute()


def _sync_tree(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            descriptor = os.open(Path(parent, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(Path(parent))
