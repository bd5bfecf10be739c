"""The idx format of MNIST and its kin: a magic number, big-endian dimensions, bytes."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError
from ..core.limits import current_limits, refuse_above

_REMEDY = "copy the data set's files again"


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Read an idx file of unsigned bytes, compressed with gzip or not.

    Args:
        path: The file; a name that ends in ``.gz`` is decompressed.

    Returns:
        The array, shape as the file states.

    Raises:
        DataError: The file is damaged, of another element type, or larger than 1 GiB.
    """
    try:
        with open(path, "rb") as file:
            if path.suffix != ".gz":
                return _read(file, path)
            with gzip.GzipFile(fileobj=file) as inflated:
                return _read(inflated, path)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise DataError(f"{path} is not a whole idx file: {error}", remedy=_REMEDY) from error


def _read(file: BinaryIO | gzip.GzipFile, path: Path) -> npt.NDArray[np.uint8]:
    zero, kind, rank = struct.unpack(">HBB", file.read(4))
    if zero or kind != 8 or not 1 <= rank <= 4:
        raise DataError(f"{path} is not an idx file of bytes", remedy=_REMEDY)
    shape = struct.unpack(f">{rank}I", file.read(4 * rank))
    size = math.prod(shape)
    refuse_above(size, current_limits().dataset_bytes, f"bytes that {path} declares", "dataset_bytes")
    content = file.read(size + 1)
    if len(content) != size:
        raise DataError(f"{path} declares {size:,} bytes and holds another number", remedy=_REMEDY)
    return np.frombuffer(content, np.uint8).reshape(shape)
