"""The files of a bundle: what lies in the folder, and the hash of each."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from ..core.errors import InputError
from ..core.limits import current_limits, refuse_above
from .manifest_parts import MANIFEST, FileEntry

_CHUNK = 1 << 20


def file_entries(folder: Path) -> tuple[FileEntry, ...]:
    """What the manifest says of every other file of a folder that was just filled, by path."""
    return tuple(
        FileEntry(path=path, sha256=hash_file(folder / path), bytes=size)
        for path, size in list_files(folder).items()
    )


def list_files(folder: Path) -> dict[str, int]:
    """Every file of a folder but its manifest, with its size in bytes.

    Raises:
        InputError: There is a link or a special file.
        LimitError: There are more files than any bundle has.
    """
    found: dict[str, int] = {}
    for parent, folders, names in os.walk(folder, followlinks=False):
        for name in (*folders, *names):
            path = Path(parent, name)
            place = path.relative_to(folder).as_posix()
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) and not (name in folders and stat.S_ISDIR(status.st_mode)):
                raise InputError(
                    f"{place[:200]} in {folder} is a link or a special file",
                    remedy="a bundle holds plain files only",
                )
            if name in names and place != MANIFEST:
                found[place] = status.st_size
        refuse_above(len(found), current_limits().bundle_files, f"files in {folder}", "bundle_files")
    return dict(sorted(found.items()))


def hash_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        InputError: It cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror or error}", remedy="check its permissions"
        ) from error
    return digest.hexdigest()
