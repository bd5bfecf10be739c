"""Weights outside the model file: read only from inside the model's folder, once, through checked descriptors.

A location in a model is text from a stranger. It is refused unless it names, below the model's own folder and
without a link in any component, a regular file with one name and with enough bytes. Each file is opened once,
component by component, without following links, and what was checked is what is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx

from .errors import ModelError
from .limits import Limits
from .mapped import give_back
from .tensor_checks import INT64_MAX, declared_elements, stored_bytes

_KEYS = frozenset({"location", "offset", "length", "checksum"})
_REMEDY = "keep the model's data files beside it, as plain files"


@dataclass(frozen=True)
class Region:
    """The bytes of one tensor in a data file.

    Attributes:
        location: The file, relative to the model's folder, with forward slashes.
        offset: First byte.
        length: Number of bytes.
        checksum: SHA-1 of the whole file in hexadecimal, or empty.
    """

    location: str
    offset: int
    length: int
    checksum: str


def region_of(tensor: onnx.TensorProto, place: str, limits: Limits) -> Region:
    """Read where a tensor's bytes are, refusing what does not fit its dimensions.

    Args:
        tensor: A tensor with external data.
        place: Where it is, for messages.
        limits: The most elements.

    Raises:
        ModelError: A key is unknown or given twice, a number is not one, or the length does not fit.
        LimitError: The tensor declares too many elements.
    """
    entries: dict[str, str] = {}
    for entry in tensor.external_data:
        if entry.key not in _KEYS or entry.key in entries:
            raise ModelError(
                f"{place} has the external data key {entry.key[:80]!r}, unknown or twice", remedy=_REMEDY
            )
        entries[entry.key] = entry.value
    wanted = stored_bytes(tensor, declared_elements(tensor, place, limits), place)
    location = entries.get("location", "")
    _check_location(location, place)
    if tensor.raw_data:
        raise ModelError(f"{place} has both external and embedded data", remedy="export the model again")
    offset = _number(entries.get("offset", "0"), "offset", place)
    length = _number(entries.get("length", str(wanted)), "length", place)
    if length != wanted:
        raise ModelError(
            f"{place} names {length:,} external bytes, its dimensions want {wanted:,}", remedy=_REMEDY
        )
    return Region(location, offset, length, entries.get("checksum", ""))


def _number(text: str, what: str, place: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= INT64_MAX):
        raise ModelError(
            f"{place} has the external data {what} {text[:40]!r}", remedy="export the model again"
        )
    return int(text)


def _check_location(location: str, place: str) -> None:
    windows = PureWindowsPath(location)
    parts = PurePosixPath(location).parts
    outside = ".." in parts or location.startswith("/") or windows.drive or windows.root or "\\" in location
    if outside or not parts or "\0" in location:
        raise ModelError(
            f"{place} has its data at {location[:200]!r}, not inside the model's folder", remedy=_REMEDY
        )


class DataFolder:
    """The folder of a model, from which data files are mapped, each opened once.

    Args:
        folder: The folder that holds the model file; None for a model in memory, which has none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._maps: dict[str, mmap.mmap | bytes] = {}
        self._hashes: dict[str, str] = {}

    def view(self, region: Region, place: str) -> memoryview:
        """The bytes of a region, mapped and read-only.

        Raises:
            ModelError: The file is missing, not plain, too short, or its checksum differs.
        """
        if region.location not in self._maps:
            self._maps[region.location] = self._map(region.location, place)
        content = self._maps[region.location]
        if region.checksum:
            self._check_hash(region, content, place)
        if region.offset + region.length > len(content):
            raise ModelError(
                f"{place} ends at byte {region.offset + region.length:,} of {region.location!r}, "
                f"which has {len(content):,}",
                remedy="copy the data file again, whole",
            )
        return memoryview(content)[region.offset : region.offset + region.length]

    def files(self) -> dict[str, int]:
        """The data files mapped so far, with their sizes in bytes."""
        return {location: len(content) for location, content in self._maps.items()}

    def _check_hash(self, region: Region, content: mmap.mmap | bytes, place: str) -> None:
        if region.location not in self._hashes:
            self._hashes[region.location] = hashlib.sha1(content, usedforsecurity=False).hexdigest()
            give_back(content, 0, len(content))
        if self._hashes[region.location] != region.checksum.lower():
            raise ModelError(
                f"{place}: the SHA-1 of {region.location!r} is not the one the model states",
                remedy="copy the data file again, whole",
            )

    def _map(self, location: str, place: str) -> mmap.mmap | bytes:
        if self._folder is None:
            raise ModelError(
                f"{place} has external data, but the model has no folder", remedy="load its data first"
            )
        try:
            with _open_inside(self._folder, PurePosixPath(location).parts) as descriptor:
                status = os.fstat(descriptor)
                _check_plain(status, location, place)
                return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) if status.st_size else b""
        except OSError as error:
            raise ModelError(
                f"{place}: cannot read {location!r} in {self._folder}: {error.strerror or error}",
                remedy=_REMEDY,
            ) from error


def _check_plain(status: os.stat_result, location: str, place: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ModelError(f"{place}: {location!r} is not a regular file", remedy=_REMEDY)
    if status.st_nlink != 1:
        raise ModelError(
            f"{place}: {location!r} is a hard link to a file with other names", remedy="replace it by a copy"
        )


@contextlib.contextmanager
def _open_inside(folder: Path, parts: tuple[str, ...]) -> Iterator[int]:
    """Open a file below a folder, refusing a link in any component on the way."""
    if os.open not in os.supports_dir_fd:
        with _open_by_path(folder, parts) as descriptor:
            yield descriptor
        return
    with contextlib.ExitStack() as opened:
        current = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        opened.callback(os.close, current)
        for index, part in enumerate(parts):
            _refuse_link(os.stat(part, dir_fd=current, follow_symlinks=False), "/".join(parts[: index + 1]))
            last = index == len(parts) - 1
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | (0 if last else os.O_DIRECTORY)
            current = os.open(part, flags, dir_fd=current)
            opened.callback(os.close, current)
        yield current


@contextlib.contextmanager
def _open_by_path(folder: Path, parts: tuple[str, ...]) -> Iterator[int]:
    """The same where the platform cannot open relative to a folder."""
    descriptor = os.open(_plain_path(folder, parts), os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        # A link that was put in the way meanwhile has been followed, so they are looked for again.
        if not os.path.samestat(_plain_path(folder, parts).lstat(), os.fstat(descriptor)):
            raise OSError(f"{parts[-1]} changed while it was opened")
        yield descriptor
    finally:
        os.close(descriptor)


def _plain_path(folder: Path, parts: tuple[str, ...]) -> Path:
    """The path below a folder, after a look that no component is a link."""
    path = folder
    for part in parts:
        path = path / part
        _refuse_link(path.lstat(), str(path.relative_to(folder)))
    return path


def _refuse_link(status: os.stat_result, shown: str) -> None:
    """Refuse links, and what must not even be opened: pipes, devices, sockets."""
    if stat.S_ISLNK(status.st_mode):
        raise ModelError(f"external data {shown!r} is a symbolic link", remedy="replace it by a copy")
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise ModelError(f"external data {shown!r} is not a regular file", remedy=_REMEDY)
