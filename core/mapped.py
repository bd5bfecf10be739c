"""Weights that stay in their file: in memory while somebody reads them, and out of it again afterwards."""

from __future__ import annotations

import mmap
import weakref

import numpy as np
import onnx
import onnx_ir as ir


def mapped_tensor(proto: onnx.TensorProto, view: memoryview, offset: int) -> ir.TensorProtocol:
    """A tensor over a part of a mapped file, whose pages are given back when the last array over them is gone.

    Pages that have been read count as memory of the process for as long as the file is mapped, which is as long as
    the model lives.

    Args:
        proto: Its type, dimensions and name.
        view: The bytes.
        offset: Where in the file they begin.
    """
    kind, name, dims = ir.DataType(proto.data_type), proto.name, tuple(proto.dims)

    def read() -> ir.TensorProtocol:
        stored = np.frombuffer(view, np.uint8)
        weakref.finalize(stored, give_back, view.obj, offset, view.nbytes).atexit = False
        if kind.bitwidth < 8:  # packed elements have to be unpacked, which is a copy
            held = onnx.TensorProto(name=name, dims=dims, data_type=int(kind), raw_data=stored.tobytes())
            return ir.serde.deserialize_tensor(held)
        return ir.Tensor(stored.view(kind.numpy()).reshape(dims), dtype=kind, name=name)

    return ir.LazyTensor(read, kind, ir.Shape(dims), name=name)


def give_back(content: object, offset: int, length: int) -> None:
    """Let the system take the pages of a mapped file; whoever reads there again has them read from the file.

    Args:
        content: The mapped file; nothing is done with anything else, or where the platform has no way to.
        offset: First byte.
        length: Number of bytes.
    """
    if isinstance(content, mmap.mmap) and hasattr(content, "madvise"):
        start = offset // mmap.PAGESIZE * mmap.PAGESIZE
        content.madvise(mmap.MADV_DONTNEED, start, offset + length - start)
