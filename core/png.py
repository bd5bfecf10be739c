"""Pictures as PNG (ISO/IEC 15948), for reports: 8 bits a channel, grey or RGB."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

from .errors import DataError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = {1: 0, 3: 2}
"""PNG's colour type by the number of channels."""


def encode_png(picture: npt.NDArray[np.uint8]) -> bytes:
    """Write a picture as the bytes of a PNG file.

    Args:
        picture: Shape ``(height, width)`` for grey, or ``(height, width, 3)`` for RGB; neither side is 0.

    Raises:
        DataError: It has another type or shape.
    """
    pixels = picture[..., None] if picture.ndim == 2 else picture
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in _COLOURS or not pixels.size:
        raise DataError(
            f"{picture.dtype} of shape {picture.shape} is no picture",
            remedy="give bytes of shape (height, width) or (height, width, 3)",
        )
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    # Every line begins with the number of its filter; 0 leaves it as it is.
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
