"""Writing a model whose weights lie beside its message: a data file first, then the model that names it.

The data file carries a hash of its contents in its name. Until the model is renamed into place, an older model
of the same name keeps its own data file; a crash at any step leaves one complete model.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import onnx
import onnx_ir as ir

from .detach import raw_bytes
from .files import write_atomic

_ALIGNMENT = 4096
"""Each tensor starts on a page, so that runtimes can map it."""


def write_with_data(path: Path, message: bytes, weights: Mapping[str, ir.TensorProtocol]) -> None:
    """Write a model and its data file, each atomically, the model last.

    Args:
        path: The model file.
        message: The model, in which ``weights`` are external data.
        weights: Contents of those initializers, by name.

    Raises:
        StorageError: The disk is full or the folder cannot be written; an existing model is unchanged.
    """
    model = onnx.ModelProto.FromString(message)
    location = f"{path.name}.{_hash(weights)}.data"
    offsets = _offsets(weights)
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            _point(tensor, location, offsets[tensor.name], weights[tensor.name].nbytes)
    data = path.with_name(location)
    is_new, content = not data.exists(), model.SerializeToString(deterministic=True)
    try:
        write_atomic(data, lambda file: _write(file, weights, offsets))
        write_atomic(path, content)
        remove_data(path, keep=location)
    except BaseException:
        if path.is_file() and path.read_bytes() == content:  # it came after the renaming
            remove_data(path, keep=location)
        elif is_new:
            data.unlink(missing_ok=True)
        raise


def _hash(weights: Mapping[str, ir.TensorProtocol]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(raw_bytes(weights[name]))
    return digest.hexdigest()[:16]


def _offsets(weights: Mapping[str, ir.TensorProtocol]) -> dict[str, int]:
    offsets: dict[str, int] = {}
    end = 0
    for name in sorted(weights):
        offsets[name] = -(-end // _ALIGNMENT) * _ALIGNMENT
        end = offsets[name] + weights[name].nbytes
    return offsets


def _point(tensor: onnx.TensorProto, location: str, offset: int, length: int) -> None:
    del tensor.external_data[:]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)


def _write(file: BinaryIO, weights: Mapping[str, ir.TensorProtocol], offsets: Mapping[str, int]) -> None:
    for name, offset in offsets.items():
        file.write(b"\0" * (offset - file.tell()))
        file.write(raw_bytes(weights[name]))


def remove_data(path: Path, *, keep: str = "") -> None:
    """Remove data files that earlier saves of a model wrote, where the folder lets itself be read.

    Args:
        path: The model file.
        keep: The data file that it names now.
    """
    pattern = re.compile(re.escape(path.name) + r"\.[0-9a-f]{16}\.data")
    with contextlib.suppress(OSError):
        for other in path.parent.iterdir():
            if other.name != keep and pattern.fullmatch(other.name):
                other.unlink()
