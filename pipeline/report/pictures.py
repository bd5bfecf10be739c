"""Pictures that stand inside a page: small PNGs in base64, and nothing else."""

from __future__ import annotations

import base64
import binascii
import re
import struct

_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)
_LONGEST = 400_000
_MOST_PIXELS = 512
_START = b"\x89PNG\r\n\x1a\n"


def is_picture(text: str) -> bool:
    """Whether a text is a small PNG in base64, by its characters, its length and its header.

    Args:
        text: The text, which may be anything.
    """
    if len(text) > _LONGEST or not _BASE64.fullmatch(text):
        return False
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    if len(content) < 24 or not content.startswith(_START) or content[12:16] != b"IHDR":
        return False
    return all(1 <= pixels <= _MOST_PIXELS for pixels in struct.unpack(">II", content[16:24]))
