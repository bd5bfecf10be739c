"""What a file looks like, from its first bytes, when it is not an ONNX model."""

from __future__ import annotations

HEAD_BYTES = 4096
"""How much of the file's beginning :func:`kind_of` wants to see."""

_PREFIXES: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"\x89HDF\r\n", "an HDF5 file (a Keras model?)"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x93NUMPY", "a numpy array"),
    (b"\x7fELF", "an executable or library"),
    (b"%PDF", "a PDF document"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file it stands for"),
)
_TORCH_ZIP = (b"/data.pkl", b"/constants.pkl", b"/data/", b"/byteorder")
_AT_FOUR = {b"ORTM": "a model in ONNX Runtime's own format", b"TFL3": "a TensorFlow Lite model"}


def kind_of(head: bytes) -> str | None:
    """Say what a file is by its magic bytes.

    Args:
        head: The first bytes of the file, :data:`HEAD_BYTES` at most.

    Returns:
        A noun phrase, or None where nothing is recognised (as for ONNX, which has no magic bytes).
    """
    start = head[:HEAD_BYTES]
    if start.startswith(b"PK\x03\x04") and any(mark in start for mark in _TORCH_ZIP):
        return "a PyTorch checkpoint (zip with a pickle)"
    for prefix, kind in _PREFIXES:
        if start.startswith(prefix):
            return kind
    if len(start) > 2 and start[0] == 0x80 and start[1] in range(2, 6):
        return "a Python pickle (an old PyTorch checkpoint?)"
    if start[4:8] in _AT_FOUR:
        return _AT_FOUR[start[4:8]]
    return _text_kind(start)


def _text_kind(start: bytes) -> str | None:
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page (a failed download?)"
    if text.startswith(b"<?xml"):
        return "an XML document"
    if start[8:9] == b"{" and 0 < int.from_bytes(start[:8], "little") < 100_000_000:
        return "a safetensors file"
    if text.startswith((b"{", b"[")) and _is_text(start):
        return "a JSON document"
    return "a text file" if start and _is_text(start) else None


def _is_text(start: bytes) -> bool:
    return all(byte in b"\t\n\r\x0c" or 0x20 <= byte < 0x7F or byte >= 0x80 for byte in start)
