"""A model whose weights are written to a file beside it one by one, so that making it takes no memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper


def write_chain(path: Path, blocks: int, width: int, hidden: int, *, is_sparse: bool = False) -> int:
    """Write ``x + relu(x W1) W2``, so many times.

    Args:
        path: The model; its weights lie beside it, as ``.data``.
        blocks: How many times.
        width: Columns of ``x``.
        hidden: Columns of ``x W1``.
        is_sparse: Whether all weights are zero, in a file that takes no room.

    Returns:
        Bytes of the weights.
    """
    random = np.random.default_rng(0)
    nodes, tensors = [], []
    beside = path.with_suffix(".data")
    with beside.open("wb") as file:
        for i in range(blocks):
            for name, shape in ((f"u{i}", (width, hidden)), (f"d{i}", (hidden, width))):
                tensors.append(_stored(name, shape, beside.name, file.tell()))
                if is_sparse:
                    file.seek(4 * width * hidden, 1)
                else:
                    scale = np.float32(2 * shape[0] ** 0.5)
                    file.write(random.standard_normal(shape, dtype=np.float32) / scale)
            nodes += [
                helper.make_node("MatMul", [f"y{i}", f"u{i}"], [f"a{i}"], name=f"up{i}"),
                helper.make_node("Relu", [f"a{i}"], [f"b{i}"], name=f"relu{i}"),
                helper.make_node("MatMul", [f"b{i}", f"d{i}"], [f"c{i}"], name=f"down{i}"),
                helper.make_node("Add", [f"y{i}", f"c{i}"], [f"y{i + 1}"], name=f"add{i}"),
            ]
        file.truncate()
    ends = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", width]) for n in ("y0", f"y{blocks}"))
    graph = helper.make_graph(nodes, "chain", [next(ends)], [next(ends)], tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(made.SerializeToString())
    return beside.stat().st_size


def _stored(name: str, shape: tuple[int, ...], location: str, offset: int) -> TensorProto:
    tensor = TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor
