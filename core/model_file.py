"""Reading the model file itself: what kind of file it is, how large, and whether it parses."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from .errors import ModelError
from .limits import Limits
from .plain_file import read_plain
from .sniff import kind_of
from .text_fields import check_text


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
    return read_plain(
        path,
        "file_bytes",
        what="a model file",
        remedy="give the path of an .onnx file that can be read",
        kind=ModelError,
        most=limits.file_bytes,
    )


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
