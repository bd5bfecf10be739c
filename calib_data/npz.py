"""Reading ``.npz`` files of strangers: what they declare is added up before anything is read."""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from ..core.errors import DataError, LimitError
from ..core.limits import current_limits
from ..core.tensors import Array

_HEADER = re.compile(
    rb"\{'descr': '(?P<descr>[<>|=][A-Za-z]\d*)', 'fortran_order': (True|False), "
    rb"'shape': \((?P<shape>( ?\d{1,19},?)*)\),? ?\} *\n?"
)
_REMEDY = "write the file with numpy.savez, one array for each model input"


def read_npz(path: Path, memory_bytes: int | None = None) -> dict[str, Array]:
    """Read every array of an ``.npz`` file; nothing in it is ever unpickled.

    Args:
        path: The file.
        memory_bytes: The most that the arrays may declare together.

    Raises:
        DataError: The file is missing, damaged, or holds something else than plain arrays.
        LimitError: The arrays declare more than ``memory_bytes``.
    """
    if not path.is_file():
        raise DataError(f"{path} is not a file", remedy="give the path of an .npz file")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            declared = {entry.filename: _declared_bytes(archive, entry, path) for entry in entries}
            if len(declared) != len(entries):
                raise DataError(f"{path.name} holds two arrays of one name", remedy=_REMEDY)
            check_memory(sum(declared.values()), memory_bytes, path.name)
            return {name.removesuffix(".npy"): _read(archive, name) for name in declared}
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, TypeError, RuntimeError, OSError) as error:
        raise DataError(f"{path.name} is not a whole .npz file: {error}", remedy=_REMEDY) from error


def check_memory(size_bytes: int, memory_bytes: int | None, origin: str) -> None:
    """Refuse samples that take too much memory.

    Args:
        size_bytes: What they take.
        memory_bytes: The most that they may take; what :class:`~sardonyx.core.limits.Limits` says where None.
        origin: Where they come from.

    Raises:
        LimitError: They take more.
    """
    most = current_limits().array_bytes if memory_bytes is None else memory_bytes
    if size_bytes > most:
        raise LimitError(
            f"the samples of {origin} take {size_bytes / 1e9:,.1f} GB, the limit is {most / 1e9:,.1f} GB",
            remedy="give fewer samples, or raise it with --admit array_bytes=NUMBER",
        )


def _declared_bytes(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> int:
    """The bytes that an array's header declares; the header must agree with the archive."""
    if not entry.filename.endswith(".npy"):
        raise DataError(f"{path.name} holds {entry.filename[:80]!r}, which is not an array", remedy=_REMEDY)
    with archive.open(entry) as file:
        shape, dtype = _header(file)
        start = file.tell()
    if dtype.hasobject:
        raise DataError(
            f"{path.name}: {entry.filename[:80]!r} is an array of objects", remedy="give plain numbers"
        )
    size = math.prod(shape) * dtype.itemsize
    if start + size != entry.file_size:
        raise DataError(
            f"{path.name}: {entry.filename[:80]!r} declares {size:,} bytes and holds {entry.file_size - start:,}",
            remedy=_REMEDY,
        )
    return size


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read an array's header as numpy writes it, by pattern: nothing in it is evaluated."""
    version = npy.read_magic(file)
    if version not in {(1, 0), (2, 0)}:
        raise ValueError(f"array format {version} is not supported")
    length = int.from_bytes(file.read(2 if version == (1, 0) else 4), "little")
    found = _HEADER.fullmatch(file.read(length)) if length <= current_limits().array_header_bytes else None
    if found is None:
        raise ValueError("the header of an array is not one that numpy writes for plain numbers")
    shape = tuple(int(d) for d in found["shape"].split(b",") if d.strip())
    return shape, np.dtype(found["descr"].decode("ascii"))


def _read(archive: zipfile.ZipFile, name: str) -> Array:
    with archive.open(name) as file:
        array: Array = npy.read_array(file, allow_pickle=False)
    return array
