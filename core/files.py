"""Writing files so that either the complete old or the complete new output exists.

Everything is written aside, fsynced, and renamed over the destination; the folder is fsynced last. What lies aside is
locked by the process that writes it, and the next one to write the same output removes what nobody holds. Nothing else
in the project writes a file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from .errors import StorageError, UsageError
from .events import tell

try:
    import fcntl
except ImportError:  # Windows, where leftovers stay
    fcntl = None  # type: ignore[assignment]


def check_output(
    path: Path, *, force: bool = False, inputs: Sequence[Path] = (), is_folder: bool = False
) -> None:
    """Refuse an output that could not, or should not, be written. Call it before the work starts.

    Args:
        path: The file or folder to be written.
        force: Whether an existing output may be replaced.
        inputs: Files and folders that are read; none of them may be the output, lie in it or hold it.
        is_folder: Whether a folder is to be written.

    Raises:
        UsageError: The output is one of the inputs, lies inside one or holds one, exists and ``force`` is false, or is
            something else than what is to be written.
        StorageError: The folder that would hold it is missing or read-only, or its name is too long.
    """
    _check_apart(path, inputs)
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise StorageError(
            f"output {path}: {error.strerror or error}", remedy="choose another output path"
        ) from error
    else:
        if not force:
            raise UsageError(
                f"output {path} exists", remedy="choose another path, or pass --force to replace it"
            )
        _check_kind(path, mode, is_folder=is_folder)
    parent = path.absolute().parent
    if not parent.is_dir():
        raise StorageError(f"folder {parent} does not exist", remedy="create it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise StorageError(f"folder {parent} cannot be written", remedy="choose another output path")


def write_atomic(path: Path, content: bytes | Callable[[BinaryIO], None]) -> None:
    """Write a file so that a crash leaves the old content or the new, never a part.

    Args:
        path: The file to write; its folder exists.
        content: The bytes, or a function that writes them to an open file.

    Raises:
        StorageError: The disk is full or the folder cannot be written; an existing file is unchanged.
    """
    remove_leftovers(path.parent, path)
    try:
        with _beside(path, lambda aside: aside.touch(exist_ok=False)) as aside:
            with open(aside, "wb") as file:
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


def write_new(path: Path, content: bytes) -> bool:
    """Write a file that is not there yet, so that nobody sees a part of it.

    Returns:
        False where it is there already, and is left as it is.

    Raises:
        OSError: The disk is full or the folder cannot be written.
    """
    remove_leftovers(path.parent, path)
    with _beside(path, lambda aside: aside.touch(exist_ok=False)) as aside:
        with open(aside, "wb") as file:
            file.write(content)
        try:
            os.link(aside, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return _write_exclusively(path, content)
    return True


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
    remove_leftovers(path.parent, path)
    check_output(path, force=force, is_folder=True)
    try:
        with _beside(path, Path.mkdir) as aside:
            yield aside
            _sync_tree(aside)
            _put_in_place(aside, path)
            sync_folder(path.absolute().parent)
    except OSError as error:
        if not _is_about_writing(error, path):
            raise
        raise StorageError(f"cannot write {path}: {error.strerror or error}", remedy=_REMEDY) from error


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for the time of the block, which nobody else sees into; those of processes that were killed go too.

    Raises:
        OSError: The disk is full, or there is no place for temporary files.
    """
    place = Path(tempfile.gettempdir(), "sardonyx")
    remove_leftovers(place.parent, place)
    with _beside(place, lambda aside: aside.mkdir(mode=0o700)) as folder:
        yield folder


def append_line(path: Path, line: str) -> None:
    """Add a line to the journal of a process that may be killed: whatever was added before stays.

    Args:
        path: The journal; made where it is not there.
        line: The text, without line breaks.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def alone_appending(path: Path) -> Iterator[None]:
    """Hold a journal while the block runs and adds lines; others that ask for the same wait, where the platform can.

    What a process was writing when it was killed is cut off first: the next line would be spoilt by it. The hold ends
    with its process, whatever ends that.

    Raises:
        OSError: The journal is not there, or lies where nothing can be held.
    """
    with open(path, "r+b") as journal:  # to be written: network file systems hold nothing else
        if fcntl is not None:
            fcntl.flock(journal, fcntl.LOCK_EX)
        content = journal.read()
        if not content.endswith(b"\n"):
            journal.truncate(content.rfind(b"\n") + 1)
        yield


def remove_aside(path: Path) -> None:
    """Remove what a process that was killed had begun to write; anything that is not named so is left alone."""
    if _ASIDE.fullmatch(path.name):
        _remove(path)


def remove_leftovers(folder: Path, output: Path | None = None) -> None:
    """Remove what processes that were killed had begun to write; what a living one holds is left alone.

    A folder that was to be replaced, and was moved out of the way when its process died, is put back.

    Args:
        folder: Where outputs lie; one that cannot be read is left as it is.
        output: The output whose leftovers are meant; those of any where None.
    """
    start = "." if output is None else f".{_start(output.name)}."
    with contextlib.suppress(OSError):
        found = [Path(entry.path) for entry in os.scandir(folder) if _ASIDE.fullmatch(entry.name)]
        for path in found:
            if path.name.startswith(start):
                _remove_unheld(path, output)


@contextlib.contextmanager
def alone_in(path: Path) -> Iterator[None]:
    """Hold a file or folder while the block runs; other processes that ask for the same wait, where the platform can."""
    held = _lock(path, wait=True)
    try:
        yield
    finally:
        if held is not None:
            os.close(held)


def sync_folder(path: Path) -> None:
    """Flush a folder's entries to disk, where the platform can."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_disk_error(error: OSError) -> bool:
    """Whether a disk is to blame that is full, read-only or failing, and not what was asked for."""
    return error.errno in _FULL or error.errno == errno.EIO


_REMEDY = "free some space or choose another output path; nothing that existed was changed"

_FULL = frozenset({errno.ENOSPC, errno.EFBIG, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)})

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""What a file system says that knows one name for each file."""

_ASIDE = re.compile(r"\..*\.\d+-[0-9a-f]{8}\.(tmp|old)", re.DOTALL)

_HERE, _EXCHANGE = -100, 2
"""``AT_FDCWD`` and ``RENAME_EXCHANGE`` of ``renameat2``."""


def _check_apart(path: Path, inputs: Sequence[Path]) -> None:
    """Refuse an output that is an input, lies inside one, or holds one."""
    place = Path(os.path.realpath(path))
    for source in inputs:
        if _is_same(path, source):
            raise UsageError(f"output {path} is also an input", remedy="choose another output path")
        read = Path(os.path.realpath(source))
        if read in place.parents and read.is_dir():
            raise UsageError(
                f"output {path} lies inside the input {source}", remedy="choose another output path"
            )
        if place in read.parents and place.is_dir():
            raise UsageError(f"output {path} holds the input {source}", remedy="choose another output path")


def _check_kind(path: Path, mode: int, *, is_folder: bool) -> None:
    """Refuse to replace what is something else than what is to be written."""
    if is_folder and not stat.S_ISDIR(mode):
        raise UsageError(f"output {path} is not a folder", remedy="choose another output path")
    if not is_folder and not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        what = "a folder" if stat.S_ISDIR(mode) else "not a plain file"
        raise UsageError(f"output {path} is {what}", remedy="choose another output path")


def _start(name: str) -> str:
    """What the names of all begin with that are written aside for an output, however long its own is."""
    return os.fsencode(name)[:100].decode(errors="ignore")


@contextlib.contextmanager
def _beside(path: Path, make: Callable[[Path], object]) -> Iterator[Path]:
    """A new file or folder beside the output, held as long as the block runs; gone afterwards unless it was renamed."""
    with contextlib.ExitStack() as stack:
        while True:
            aside = _aside(path)
            stack.callback(_remove, aside)
            make(aside)
            held = _lock(aside, wait=True)
            if held is not None:
                stack.callback(os.close, held)
            if aside.exists():  # before it was held, somebody may have taken it for a leftover
                break
        yield aside


def _write_exclusively(path: Path, content: bytes) -> bool:
    try:
        with open(path, "xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    except BaseException:
        _remove(path)
        raise
    return True


def _aside(path: Path) -> Path:
    """A name beside the output that nothing else has."""
    aside = path.with_name(f".{_start(path.name)}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    tell(f"writing {path.name}", aside=str(aside.absolute()))
    return aside


def _lock(path: Path, *, wait: bool) -> int | None:
    """A descriptor that holds a file or folder until it is closed, or its process ends.

    Returns:
        None where another process holds it and is not waited for, or it cannot be locked.
    """
    if fcntl is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_unheld(path: Path, output: Path | None) -> None:
    held = _lock(path, wait=False)
    if held is None:
        return
    try:
        if path.suffix == ".old" and output is not None and not output.exists():
            os.replace(path, output)
        else:
            _remove(path)
    finally:
        os.close(held)


def _remove(path: Path) -> None:
    """Remove a file or folder, if it is there and can be; wholly, even where a signal comes in between."""
    try:
        _unlink(path)
    except BaseException:
        _unlink(path)
        raise


def _unlink(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _put_in_place(aside: Path, path: Path) -> None:
    """Rename a folder over another, which lies aside afterwards, or is gone.

    Where the system cannot swap them in one step, the other is put back if the second renaming fails.
    """
    if not path.exists():
        os.replace(aside, path)
        return
    if exchange(aside, path):
        return
    old = aside.with_suffix(".old")
    os.replace(path, old)
    try:
        os.replace(aside, path)
    except BaseException:
        os.replace(old, path)
        raise
    _remove(old)


def exchange(first: Path, second: Path) -> bool:
    """Swap two folders in one step; False where the system cannot."""
    if sys.platform != "linux":
        return False
    import ctypes

    swap = getattr(ctypes.CDLL(None), "renameat2", None)
    if swap is None:
        return False
    return bool(swap(_HERE, os.fsencode(first), _HERE, os.fsencode(second), _EXCHANGE) == 0)


def _is_about_writing(error: OSError, path: Path) -> bool:
    """Whether an error in the block comes from the output, and not from something that was read."""
    named = [Path(os.fsdecode(n)) for n in (error.filename, error.filename2) if isinstance(n, (str, bytes))]
    inside = any(path in (name, *name.parents) or any(map(_ASIDE.fullmatch, name.parts)) for name in named)
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
