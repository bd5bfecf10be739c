"""Reading the model file itself: what kind of file it is, how large, and whether it parses."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NoReturn

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from .errors import ModelError
from .limits import Limits, refuse_above
from .sniff import kind_of
from .text_fields import check_text

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def read_model_file(path: Path, limits: Limits) -> bytes:
    """Read a model file whole, without ever opening what is not a regular file.

    A link to a regular file is followed: the user named it.

    Args:
        path: The file.
        limits: Its largest size.

    Raises:
        ModelError: It does not exist, is not a regular file, or cannot be read.
        LimitError: It is larger than the limit.
    """
    try:
        _check_regular(path, os.stat(path))
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            _check_regular(path, status)
            refuse_above(status.st_size, limits.file_bytes, f"bytes of {path.name}", "file_bytes")
            content = file.read(limits.file_bytes + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(
            f"cannot read {path}: {reason}", remedy="check the path and its permissions"
        ) from error
    refuse_above(len(content), limits.file_bytes, f"bytes of {path.name}", "file_bytes")
    return content


def parse_model(content: bytes, name: str) -> onnx.ModelProto:
    """Parse the bytes of a model.

    Args:
        content: The bytes.
        name: The file's name, for messages.

    Raises:
        ModelError: The bytes are empty, look like another kind of file, or are not a valid message.
    """
    if not content:
        raise ModelError(
            f"{name} is an empty model: the file has no bytes", remedy="export or download it again"
        )
    kind = kind_of(content)
    if kind is not None and not content.startswith(b"\x08"):
        raise ModelError(f"{name} looks like {kind}, not an ONNX model", remedy="give an .onnx file")
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(content)
        check_text(model)
    except (DecodeError, UnicodeDecodeError, ValueError) as error:
        refuse_corrupt(name, len(content), error)
    return model


def refuse_corrupt(name: str, size: int, error: Exception) -> NoReturn:
    """Refuse a message that protobuf, or the text in it, shows to be damaged.

    Raises:
        ModelError: Always.
    """
    raise ModelError(
        f"{name} is corrupt: {size:,} bytes that are not a valid ONNX protobuf ({type(error).__name__})",
        remedy="export or download it again",
    ) from error


def _check_regular(path: Path, status: os.stat_result) -> None:
    for is_kind, words in _KINDS:
        if is_kind(status.st_mode):
            raise ModelError(f"{path} is {words}, not a model file", remedy="give the path of an .onnx file")
    if not stat.S_ISREG(status.st_mode):
        raise ModelError(f"{path} is not a regular file", remedy="give the path of an .onnx file")
