"""Strict shape inference: what onnx can prove, written into the graph, or an error.

``onnx_ir``'s own pass swallows a failure and keeps stale shapes. After a cut a stale shape is exactly what is
wrong, so here intermediate shapes are forgotten first and a contradiction is raised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import onnx
import onnx_ir as ir

from .detach import detached_proto
from .inference import SMALL_ELEMENTS, infer_strictly, without_weights
from .protos import all_graphs

Dims: TypeAlias = tuple[int | str | None, ...]
"""The dimensions of a value: a number, a symbol, or None where nothing is known."""


def infer_shapes(model: ir.Model) -> None:
    """Replace every intermediate type and shape by what strict inference proves.

    Args:
        model: Changed in place; graph inputs, outputs and initializers keep what they declare.

    Raises:
        ModelError: Types or shapes contradict each other, or a declared output shape is wrong.
    """
    _write_back(model, _infer(model, None))


def concrete_shapes(model: ir.Model, input_shapes: Mapping[str, Sequence[int]]) -> dict[str, Dims]:
    """The shape of every value of the main graph when the inputs have the given shapes.

    Args:
        model: Left as it is.
        input_shapes: A shape for each input that is to be fixed.

    Raises:
        ModelError: The graph contradicts these shapes.
    """
    graph = _infer(model, input_shapes).graph
    known = [*graph.input, *graph.value_info, *graph.output]
    shapes = {v.name: _dims(v.type) for v in known if _dims(v.type) is not None}
    stored = model.graph.initializers.items()
    shapes |= {name: tuple(v.const_value.shape.numpy()) for name, v in stored if v.const_value is not None}
    return {name: dims for name, dims in shapes.items() if dims is not None}


def _infer(model: ir.Model, input_shapes: Mapping[str, Sequence[int]] | None) -> onnx.ModelProto:
    proto = without_weights(detached_proto(model, SMALL_ELEMENTS)[0])
    for graph in all_graphs(proto):
        del graph.value_info[:]
    if input_shapes is not None:
        _fix_inputs(proto.graph, input_shapes)
    return infer_strictly(proto)


def _fix_inputs(graph: onnx.GraphProto, shapes: Mapping[str, Sequence[int]]) -> None:
    for value in graph.input:
        if value.name in shapes:
            tensor = value.type.tensor_type
            del tensor.shape.dim[:]
            tensor.shape.dim.extend(onnx.TensorShapeProto.Dimension(dim_value=d) for d in shapes[value.name])
    for value in graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")


def _write_back(model: ir.Model, proto: onnx.ModelProto) -> None:
    known = {v.name: v.type for graph in all_graphs(proto) for v in (*graph.value_info, *graph.output)}
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        for value in node.outputs:
            if value.is_graph_output() and value.shape is not None:
                continue
            value.shape = None
            kind = known.get(value.name or "")
            if kind is None:
                continue
            value.type = ir.serde.deserialize_type_proto_for_type(kind) or value.type
            dims = _dims(kind)
            value.shape = None if dims is None else ir.Shape(dims)


def _dims(kind: onnx.TypeProto) -> Dims | None:
    if not kind.tensor_type.HasField("shape"):
        return None
    return tuple(
        d.dim_value if d.HasField("dim_value") else (d.dim_param or None) for d in kind.tensor_type.shape.dim
    )
