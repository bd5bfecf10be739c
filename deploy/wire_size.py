"""How many bytes a file costs to download: as it lies, and as web servers compress it."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import InputError

_CHUNK_BYTES = 1 << 20
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
"""zlib's way to ask for a gzip header, which then states no name and no time: the same file, the same size."""

_BROTLI_QUALITY = 9
"""11 is the highest, and takes minutes for a model of some hundred megabytes."""


@dataclass(frozen=True)
class WireSize:
    """What a file costs to download.

    Attributes:
        bytes: As it lies.
        gzip_bytes: Compressed by gzip at level 9.
        brotli_bytes: Compressed by brotli at quality 9; None where the package ``brotli`` is not installed.
    """

    bytes: int
    gzip_bytes: int
    brotli_bytes: int | None

    def __str__(self) -> str:
        brotli = "brotli is not installed"
        if self.brotli_bytes is not None:
            brotli = f"{self.brotli_bytes:,} with brotli"
        return f"{self.bytes:,} bytes, {self.gzip_bytes:,} with gzip, {brotli}"


def wire_size(path: Path) -> WireSize:
    """Compress a file chunk by chunk and count; nothing is kept.

    Args:
        path: The file.

    Raises:
        InputError: It cannot be read.
    """
    gzip = zlib.compressobj(9, zlib.DEFLATED, _GZIP_WINDOW)
    sizes = [0, 0, 0]
    brotli = _brotli()
    try:
        for chunk in _chunks(path):
            sizes[0] += len(chunk)
            sizes[1] += len(gzip.compress(chunk))
            sizes[2] += len(brotli[0](chunk)) if brotli else 0
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be read: {error.strerror or error}", remedy="check the path"
        ) from error
    sizes[1] += len(gzip.flush())
    return WireSize(sizes[0], sizes[1], sizes[2] + len(brotli[1]()) if brotli else None)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _brotli() -> tuple[Callable[[bytes], bytes], Callable[[], bytes]] | None:
    """What compresses a chunk, and what ends the stream; None without the package."""
    try:
        module = importlib.import_module("brotli")
    except ImportError:
        return None  # the caller says so: it is no dependency, and gzip is always there
    compressor = module.Compressor(quality=_BROTLI_QUALITY)
    return compressor.process, compressor.finish
