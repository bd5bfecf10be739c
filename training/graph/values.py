"""Which values of a graph are layers: what can be looked at while it computes."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE})


def layer_values(graph: ir.Graph) -> tuple[str, ...]:
    """Names of the values that a graph's own nodes compute from its inputs in floating point, in order.

    What nodes make of weights alone (constants, weights that are dequantized) is no layer, nor are values in the bodies
    of nodes.

    Args:
        graph: A graph with its nodes in order.
    """
    computed = {value for value in graph.inputs if not value.is_initializer()}
    names: list[str] = []
    for node in graph:
        if not computed.isdisjoint(_read_by(node)):
            computed.update(node.outputs)
            names += [value.name for value in node.outputs if value.name and _is_float_tensor(value)]
    return tuple(names)


def _read_by(node: ir.Node) -> Iterator[ir.Value]:
    """What a node reads, its bodies included."""
    yield from (value for value in node.inputs if value is not None)
    for attribute in node.attributes.values():
        if attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
            is_one = attribute.type == ir.AttributeType.GRAPH
            for body in [attribute.as_graph()] if is_one else attribute.as_graphs():
                yield from body.outputs  # a body may hand on a value that none of its nodes reads
                for inner in body:
                    yield from _read_by(inner)


def _is_float_tensor(value: ir.Value) -> bool:
    """Whether a value is a tensor of floats, as far as the graph says what it is."""
    return value.type is None or (isinstance(value.type, ir.TensorType) and value.type.dtype in _FLOATS)
