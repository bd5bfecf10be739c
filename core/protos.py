"""Walking a model's message: every graph, every node, every tensor, wherever it is nested."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import onnx

DEFAULT_DOMAINS = frozenset({"", "ai.onnx"})
"""The two spellings of the standard operators' domain."""


class PlacedTensor(NamedTuple):
    """A tensor of a model, with words that say where it is."""

    tensor: onnx.TensorProto
    place: str
    is_weight: bool
    """Whether it is an initializer of the main graph."""


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs in a node's attributes, not their own subgraphs."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def graphs_within(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    """Every graph nested in the nodes, outer before inner."""
    pending = [graph for node in nodes for graph in subgraphs(node)]
    while pending:
        graph = pending.pop()
        yield graph
        pending.extend(inner for node in graph.node for inner in subgraphs(node))


def all_graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The main graph and every subgraph, those inside functions included."""
    yield model.graph
    yield from graphs_within(model.graph.node)
    for function in model.functions:
        yield from graphs_within(function.node)


def all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node of the model, those of subgraphs and functions included."""
    for graph in all_graphs(model):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def all_tensors(model: onnx.ModelProto) -> Iterator[PlacedTensor]:
    """Every dense tensor of the model: initializers and those in attributes."""
    for index, graph in enumerate(all_graphs(model)):
        for tensor in graph.initializer:
            yield PlacedTensor(tensor, f"initializer {tensor.name[:80]!r}", index == 0)
    for node in all_nodes(model):
        for attribute in node.attribute:
            held = (*((attribute.t,) if attribute.HasField("t") else ()), *attribute.tensors)
            for tensor in held:
                yield PlacedTensor(tensor, f"attribute {attribute.name!r} of {label(node)}", False)


def label(node: onnx.NodeProto) -> str:
    """What to call a node in a message: its name, or its operator and first output."""
    if node.name:
        return f"node {node.name!r}"
    return f"{node.op_type} node that makes {node.output[0] if node.output else '':.80}"
