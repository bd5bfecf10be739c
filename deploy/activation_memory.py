"""How many bytes of activations a model holds at most at the same time.

Counted on the graph, in the order in which its nodes are stored, without in-place operators and without what a
kernel needs for itself: a figure to compare models and input sizes by, not what a device will report.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from ..core import ModelArtifact
from ..core.errors import ExpectationError
from .fixed_shapes import fix_shapes
from .node_facts import label


@dataclass(frozen=True)
class LiveValue:
    """A value that is held.

    Attributes:
        name: Its name.
        bytes: Its size.
    """

    name: str
    bytes: int


@dataclass(frozen=True)
class ActivationPeak:
    """Where a model holds most.

    Attributes:
        peak_bytes: Bytes of all activations at that node. Inputs count to the end, since the caller holds them;
            weights and constants do not count.
        node: The node's name, or what it makes; empty for a graph without nodes.
        values: What is held while it runs, the largest first.
        inner_bytes: Part of the peak: what the node's inner graphs hold at most, were each value of theirs new.
    """

    peak_bytes: int
    node: str
    values: tuple[LiveValue, ...]
    inner_bytes: int = 0


def peak_activation_bytes(model: ModelArtifact, shapes: Mapping[str, Sequence[int]]) -> int:
    """The most bytes of activations that a model holds at the same time; see :func:`peak_activation`."""
    return peak_activation(model, shapes).peak_bytes


def peak_activation(model: ModelArtifact, shapes: Mapping[str, Sequence[int]]) -> ActivationPeak:
    """Find where a model holds the most bytes of activations.

    Args:
        model: The model; left as it is.
        shapes: A shape for each input that has dimensions without a number.

    Raises:
        UsageError: A shape does not fit its input.
        ModelError: The graph does not work at these shapes.
        ExpectationError: The size of a value cannot be told beforehand; it is named.
    """
    graph = model.load()
    if graph.functions:
        InlinePass()(graph)
        model = ModelArtifact.of(graph)
    return _peak(fix_shapes(model, {}, shapes).load().graph)


def _peak(graph: ir.Graph) -> ActivationPeak:
    nodes = list(graph)
    given = [value for value in graph.inputs if not value.is_initializer()]
    # Whoever feeds a graph holds what it feeds until the graph is done; what comes out is held as well.
    last = {value: len(nodes) for value in (*given, *graph.outputs)}
    for index, node in enumerate(nodes):
        for value in _read(node):
            last[value] = max(index, last.get(value, 0))
    live = {value: _bytes(value) for value in given}
    peak = _snapshot(live, "", 0)
    for index, node in enumerate(nodes):
        live |= {value: _bytes(value) for value in node.outputs if _counts(value, last)}
        # Of several inner graphs, such as those of an If, one runs at a time.
        inner = max((_peak(body).peak_bytes for body in _bodies(node)), default=0)
        if sum(live.values()) + inner > peak.peak_bytes:
            peak = _snapshot(live, label(node), inner)
        live = {value: size for value, size in live.items() if last.get(value, index) > index}
    return peak


def _read(node: ir.Node) -> Iterator[ir.Value]:
    """What a node reads, its inner graphs included."""
    yield from (value for value in node.inputs if value is not None)
    for body in _bodies(node):
        yield from body.outputs
        for inner in body:
            yield from _read(inner)


def _bodies(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.as_graphs()


def _counts(value: ir.Value, last: Mapping[ir.Value, int]) -> bool:
    """Whether a value is an activation: not a constant, and not an optional output that nobody asked for."""
    producer = value.producer()
    is_constant = producer is not None and producer.op_type == "Constant" and producer.domain == ""
    return not is_constant and bool(value.name or value in last)


def _bytes(value: ir.Value) -> int:
    dims = None if value.shape is None else [d for d in value.shape if isinstance(d, int)]
    is_string = value.dtype == ir.DataType.STRING
    if (
        dims is None
        or value.shape is None
        or value.dtype is None
        or len(dims) < len(value.shape)
        or is_string
    ):
        raise ExpectationError(
            f"the size of value {value.name!r} cannot be told beforehand",
            remedy="give a shape for each input; a size that depends on the data, or a string, has none",
        )
    return math.ceil(math.prod(dims) * value.dtype.bitwidth / 8)


def _snapshot(live: Mapping[ir.Value, int], node: str, inner: int) -> ActivationPeak:
    values = sorted((LiveValue(v.name or "", size) for v, size in live.items()), key=lambda v: -v.bytes)
    return ActivationPeak(sum(live.values()) + inner, node, tuple(values), inner)
