"""Strict shape inference: what onnx can prove, written into the graph, or an error.

``onnx_ir``'s own pass swallows a failure and keeps stale shapes. After a cut a stale shape is exactly what is
wrong, so here intermediate shapes are forgotten first and a contradiction is raised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import onnx
import onnx_ir as ir

from .detach import detached_proto
from .errors import ModelError
from .inference import SMALL_ELEMENTS, infer_strictly, without_weights
from .loop_shapes import LoopShapes
from .protos import all_graphs

Dims: TypeAlias = tuple[int | str | None, ...]
"""The dimensions of a value: a number, a symbol, or None where nothing is known."""


def infer_shapes(model: ir.Model) -> None:
    """Replace every intermediate type and shape by what strict inference proves.

    Subgraphs are inferred too: what a body takes and returns gets a shape where it declares none, and what a Loop
    carries keeps the sizes that :mod:`.loop_shapes` proves.

    Args:
        model: Changed in place; graph inputs, outputs and initializers keep what they declare.

    Raises:
        ModelError: Types or shapes contradict each other, or a declared output shape is wrong.
    """
    loops = LoopShapes(model)
    _write_back(model, _infer(model, None), loops)
    while loops.refine():
        try:
            _write_back(model, _infer(model, None, loops), loops)
        except ModelError:
            # The supposed sizes contradict the body; without them the graph has been inferred already.
            loops.forget()
            _write_back(model, _infer(model, None, loops), loops)


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


def refine_node_shapes(node: ir.Node, opsets: Mapping[str, int]) -> bool:
    """Infer the output shapes of one node again, after something that it reads has become known.

    Args:
        node: A node without subgraphs; unknown dimensions of its outputs are filled in, known ones kept.
        opsets: Versions of the operator sets.

    Returns:
        Whether an unknown dimension became known. Where onnx cannot infer the node, nothing is changed.
    """
    version = opsets.get(node.domain)
    if version is None or not onnx.defs.has(node.op_type, version, node.domain):
        return False
    present = [v for v in node.inputs if v is not None]
    if any(v.type is None for v in present):
        return False
    types = {v.name or "": ir.serde.serialize_value(v).type for v in present}
    small = {
        v.name or "": ir.serde.serialize_tensor(v.const_value)
        for v in present
        if v.const_value is not None and v.const_value.size <= SMALL_ELEMENTS
    }
    schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    try:
        found = onnx.shape_inference.infer_node_outputs(schema, ir.to_proto(node), types, small)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return False  # the inference of the whole graph, which follows, says what is wrong
    refined = [_refine(value, found.get(value.name or "")) for value in node.outputs]
    return any(refined)


def _refine(value: ir.Value, kind: onnx.TypeProto | None) -> bool:
    """Fill in what a value's shape lacks."""
    fresh = None if kind is None else _dims(kind)
    if fresh is None or value.is_graph_output():
        return False
    old: Dims = (None,) * len(fresh) if value.shape is None else tuple(_known(d) for d in value.shape)
    if len(old) != len(fresh):
        return False
    merged = tuple(o if isinstance(o, int) or f is None else f for o, f in zip(old, fresh, strict=True))
    value.shape = ir.Shape(merged)
    return any(isinstance(m, int) and not isinstance(o, int) for o, m in zip(old, merged, strict=True))


def _known(dim: int | ir.SymbolicDim) -> int | str | None:
    return dim if isinstance(dim, int) else dim.value


def _infer(
    model: ir.Model, input_shapes: Mapping[str, Sequence[int]] | None, loops: LoopShapes | None = None
) -> onnx.ModelProto:
    proto = without_weights(detached_proto(model, SMALL_ELEMENTS)[0])
    for graph in all_graphs(proto):
        del graph.value_info[:]
    known = set() if loops is None else loops.handed_out
    for scope, graph in _paired(model.graph, proto.graph) if known else ():
        carried = [v for node in scope for v in node.outputs if v in known and not v.is_graph_output()]
        graph.value_info.extend(ir.serde.serialize_value(v) for v in carried)
    if input_shapes is not None:
        _fix_inputs(proto.graph, input_shapes)
    return infer_strictly(proto)


def _fix_inputs(graph: onnx.GraphProto, shapes: Mapping[str, Sequence[int]]) -> None:
    for value in graph.input:
        # Taking hold of the tensor type of a sequence would make a tensor of it.
        if value.name in shapes and value.type.HasField("tensor_type"):
            tensor = value.type.tensor_type
            del tensor.shape.dim[:]
            tensor.shape.dim.extend(onnx.TensorShapeProto.Dimension(dim_value=d) for d in shapes[value.name])
    for value in graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")


def _paired(graph: ir.Graph, proto: onnx.GraphProto) -> Iterator[tuple[ir.Graph, onnx.GraphProto]]:
    """Each graph with its message: names alone do not tell, two branches may use the same."""
    yield graph, proto
    for node, written in zip(graph, proto.node, strict=True):
        attributes = {a.name: a for a in written.attribute}
        for name, attribute in node.attributes.items():
            if attribute.type == ir.AttributeType.GRAPH:
                yield from _paired(attribute.as_graph(), attributes[name].g)
            elif attribute.type == ir.AttributeType.GRAPHS:
                for inner, message in zip(attribute.as_graphs(), attributes[name].graphs, strict=True):
                    yield from _paired(inner, message)


def _write_back(model: ir.Model, proto: onnx.ModelProto, loops: LoopShapes) -> None:
    handed_out = loops.handed_out
    for scope, graph in _paired(model.graph, proto.graph):
        known = {v.name: v.type for v in (*graph.input, *graph.value_info, *graph.output)}
        for value in (v for node in scope for v in node.outputs):
            if not (value.is_graph_output() and value.shape is not None) and value not in handed_out:
                value.shape = None
                _adopt(value, known.get(value.name or ""))
        for value in scope.inputs if scope is not model.graph else ():
            if value.shape is None:
                _adopt(value, known.get(value.name or ""))


def _adopt(value: ir.Value, kind: onnx.TypeProto | None) -> None:
    """Give a value the type that was inferred, and the shape if there is one."""
    if kind is not None:
        value.type = ir.serde.deserialize_type_proto_for_type(kind) or value.type
        dims = _dims(kind)
        value.shape = None if dims is None else ir.Shape(dims)


def _dims(kind: onnx.TypeProto) -> Dims | None:
    if not kind.tensor_type.HasField("shape"):
        return None
    return tuple(
        d.dim_value if d.HasField("dim_value") else (d.dim_param or None) for d in kind.tensor_type.shape.dim
    )
