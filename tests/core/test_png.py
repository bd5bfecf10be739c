"""Pictures are read back by another reader, and by the format's own rules."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from sardonyx.core.errors import DataError
from sardonyx.core.png import encode_png


@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (4, 3, 3), (6, 2, 1)])
def test_a_picture_is_read_back_by_pillow(shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    read = np.asarray(Image.open(io.BytesIO(encode_png(picture))))
    assert np.array_equal(read, picture.reshape(shape[:2]) if shape[2:] == (1,) else picture)


def test_every_chunk_has_its_length_and_checksum() -> None:
    content = encode_png(np.zeros((2, 2), np.uint8))
    assert content[:8] == bytes([137, 80, 78, 71, 13, 10, 26, 10])
    place, kinds = 8, []
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        body = content[place + 4 : place + 8 + length]
        assert struct.unpack_from(">I", content, place + 8 + length)[0] == zlib.crc32(body)
        kinds.append(body[:4])
        place += 12 + length
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]


@pytest.mark.parametrize(
    "picture",
    [np.zeros((2, 2)), np.zeros((2, 2, 4), np.uint8), np.zeros((0, 2), np.uint8), np.zeros(3, np.uint8)],
)
def test_what_is_no_picture_is_refused(picture: np.ndarray) -> None:
    with pytest.raises(DataError, match="is no picture"):
        encode_png(picture)
