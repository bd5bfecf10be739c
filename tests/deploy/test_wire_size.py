from __future__ import annotations

import gzip
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sardonyx.core import InputError
from sardonyx.deploy.wire_size import WireSize, wire_size


class Halving:
    """Stands in for brotli's compressor: half of each chunk, and three bytes at the end."""

    def __init__(self, quality: int) -> None:
        assert quality == 9

    def process(self, chunk: bytes) -> bytes:
        return chunk[::2]

    def finish(self) -> bytes:
        return b"end"


@pytest.mark.parametrize("size", [0, 1, 100_000, 1_200_000])
def test_what_a_server_would_send(tmp_path, size):
    content = np.random.default_rng(0).integers(0, 255, size).astype(np.uint8).tobytes()
    (tmp_path / "m.onnx").write_bytes(content)
    found = wire_size(tmp_path / "m.onnx")
    assert found.bytes == size
    assert found.gzip_bytes == len(gzip.compress(content, 9, mtime=0))
    assert found == wire_size(tmp_path / "m.onnx")


def test_without_brotli_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "brotli", None)
    (tmp_path / "m.onnx").write_bytes(b"0" * 10_000)
    found = wire_size(tmp_path / "m.onnx")
    assert found.brotli_bytes is None
    assert str(found).endswith("brotli is not installed")


def test_with_brotli_both_are_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "brotli", SimpleNamespace(Compressor=Halving))
    (tmp_path / "m.onnx").write_bytes(b"0" * 3_000_000)
    assert wire_size(tmp_path / "m.onnx").brotli_bytes == 1_500_003
    assert str(WireSize(3000, 200, 100)) == "3,000 bytes, 200 with gzip, 100 with brotli"


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"m\.onnx cannot be read"):
        wire_size(tmp_path / "m.onnx")
