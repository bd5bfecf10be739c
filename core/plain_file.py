"""Reading a file that someone named: a plain file, of a stated size at most, opened once."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .errors import SardonyxError
from .limits import current_limits, refuse_above

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def read_plain(
    path: Path,
    limit: str,
    *,
    what: str,
    remedy: str,
    kind: type[SardonyxError],
    most: int | None = None,
    follow: bool = True,
) -> bytes:
    """Read a file whole, without ever opening what is not a plain file.

    A link to a plain file is followed where the user named it.

    Args:
        path: The file.
        limit: The field of :class:`~sardonyx.core.limits.Limits` that states how large it may be.
        what: What it should be, in words, as ``"a recipe"``.
        remedy: What to do where it is something else.
        kind: The error where it is missing, no plain file, or cannot be read.
        most: The limit, where it is not the current one.
        follow: Whether a link may stand for the file.

    Raises:
        SardonyxError: Of ``kind``.
        LimitError: It is larger than the limit.
    """
    most = getattr(current_limits(), limit) if most is None else most
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        _check_plain(path, os.stat(path, follow_symlinks=follow), what, remedy, kind)
        descriptor = os.open(path, flags | (0 if follow else getattr(os, "O_NOFOLLOW", 0)))
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            _check_plain(path, status, what, remedy, kind)
            refuse_above(status.st_size, most, f"bytes of {path.name}", limit)
            content = file.read(status.st_size + 1)  # no more: as much as is asked for is set aside at once
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise kind(f"cannot read {path}: {reason}", remedy=remedy) from error
    if len(content) != status.st_size:
        raise kind(f"{path} changed while it was read", remedy="try again once it is whole")
    return content


def _check_plain(
    path: Path, status: os.stat_result, what: str, remedy: str, kind: type[SardonyxError]
) -> None:
    for is_kind, words in _KINDS:
        if is_kind(status.st_mode):
            raise kind(f"{path} is {words}, not {what}", remedy=remedy)
    if not stat.S_ISREG(status.st_mode):
        raise kind(f"{path} is not a plain file", remedy=remedy)
