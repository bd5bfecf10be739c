"""A bound on what shape inference will write down, computed before it is called.

Shape inference follows ranks and, for tensors of sizes, their elements. A file of two kilobytes can make it
double either with every node (``Concat(x, x)`` of sizes, ``Gather(x, x)`` of ranks) until memory ends. Here the
same growth is followed with plain integers, each at least as large as what inference may reach.
"""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import onnx

from .functions import Key, functions_by_key, key_of
from .limits import Limits
from .protos import subgraphs

_UNKNOWN_RANK = 8
"""Taken for a value whose rank is not declared; a Shape of it yields that many sizes."""

_NAMES_FOR_A_DIM = 16
"""Inference copies all names in scope for every subgraph; so many of them take the time of one dimension."""

SIZE_OPS = frozenset(
    {"Add", "Cast", "Concat", "Gather", "Identity", "Mul", "Size", "Slice", "Squeeze", "Sub", "Unsqueeze"}
)
"""Operators through which inference carries the elements of tensors of sizes."""

_TAKES_RANK_FROM_SIZES = {"Reshape": 1, "Expand": 1, "ConstantOfShape": 0}


class Extent(NamedTuple):
    """What inference may know of a value: its rank, and how many elements it may compute of it."""

    rank: int
    elements: int


_NOTHING = Extent(_UNKNOWN_RANK, 0)


def is_growth_bounded(model: onnx.ModelProto, limits: Limits) -> bool:
    """Prove that shape inference stays within the limits, or fail to.

    The nodes with functions expanded must already have been counted.

    Args:
        model: The model, its nodes sorted.
        limits: The most dimensions and computed elements.

    Returns:
        False where the bound is above a limit; the model may still be harmless.
    """
    walk = _Walk(functions_by_key(model), limits)
    walk.body(model.graph.node, ChainMap(_declared(model.graph)))
    return not walk.is_exceeded


class _Walk:
    """One walk over a model, adding up the ranks of all values."""

    def __init__(self, functions: Mapping[Key, onnx.FunctionProto], limits: Limits) -> None:
        self.functions = functions
        self.limits = limits
        self.dims = 0
        self.scope_names = 0
        self.is_exceeded = False

    def body(self, nodes: Iterable[onnx.NodeProto], known: ChainMap[str, Extent]) -> ChainMap[str, Extent]:
        """Follow the nodes of a graph or function; ``known`` is extended and returned."""
        for node in nodes:
            inputs = [known.get(name, _NOTHING) if name else Extent(0, 0) for name in node.input]
            inner = self._inner(node, inputs, known)
            extent = _largest(inner) if inner else _extent(node, inputs)
            self.dims += extent.rank * len(node.output)
            over = self.dims > self.limits.inferred_dims or extent.elements > self.limits.inferred_elements
            over = over or self.scope_names > _NAMES_FOR_A_DIM * self.limits.inferred_dims
            self.is_exceeded = self.is_exceeded or over
            if self.is_exceeded:
                break
            known.update(dict.fromkeys(node.output, extent))
        return known

    def _inner(
        self, node: onnx.NodeProto, inputs: Sequence[Extent], known: ChainMap[str, Extent]
    ) -> list[Extent]:
        """What comes out of a node's subgraphs, or of the function it calls."""
        found: list[Extent] = []
        for graph in subgraphs(node):
            self.scope_names += sum(len(names) for names in known.maps)
            largest = _largest(inputs)
            scope = known.new_child({value.name: largest for value in graph.input} | _declared(graph))
            inner = self.body(graph.node, scope)
            found += [
                Extent(e.rank + 1, e.elements) for e in (inner.get(v.name, _NOTHING) for v in graph.output)
            ]
        function = self.functions.get(key_of(node))
        if function is not None:
            inner = self.body(function.node, ChainMap(dict(zip(function.input, inputs, strict=False))))
            found += [inner.get(name, _NOTHING) for name in function.output]
        return found


def _largest(extents: Sequence[Extent]) -> Extent:
    return Extent(max((e.rank for e in extents), default=0), max((e.elements for e in extents), default=0))


def _declared(graph: onnx.GraphProto) -> dict[str, Extent]:
    """Inputs and initializers of a graph, from what they declare."""
    known: dict[str, Extent] = {}
    for value in graph.input:
        if value.type.tensor_type.HasField("shape"):
            known[value.name] = Extent(len(value.type.tensor_type.shape.dim), 0)
    known |= {tensor.name: _of_tensor(tensor) for tensor in graph.initializer}
    return known


def _of_tensor(tensor: onnx.TensorProto) -> Extent:
    is_sizes = len(tensor.dims) <= 1 and tensor.data_type in {onnx.TensorProto.INT64, onnx.TensorProto.INT32}
    return Extent(len(tensor.dims), math.prod(tensor.dims) if is_sizes else 0)


def _extent(node: onnx.NodeProto, inputs: Sequence[Extent]) -> Extent:
    rank = max((e.rank for e in inputs), default=_UNKNOWN_RANK)
    if node.op_type == "Constant":
        return next((_of_tensor(a.t) for a in node.attribute if a.HasField("t")), _of_list(node))
    if node.op_type == "Shape":
        return Extent(1, rank)
    if node.op_type in _TAKES_RANK_FROM_SIZES and len(inputs) > _TAKES_RANK_FROM_SIZES[node.op_type]:
        count = inputs[_TAKES_RANK_FROM_SIZES[node.op_type]].elements or _UNKNOWN_RANK
        return Extent(max(count, rank) if node.op_type == "Expand" else count, 0)
    rank = _rank(node, inputs, rank)
    if node.op_type not in SIZE_OPS:
        return Extent(rank, 0)
    if node.op_type == "Gather" and len(inputs) > 1:
        return Extent(rank, inputs[1].elements or inputs[0].elements)
    sizes = [e.elements for e in inputs]
    return Extent(rank, sum(sizes) if node.op_type == "Concat" else max(sizes, default=0))


def _rank(node: onnx.NodeProto, inputs: Sequence[Extent], rank: int) -> int:
    """The rank of an output, for the operators that raise it."""
    if node.op_type in {"Gather", "GatherND"} and len(inputs) > 1:
        return max(inputs[0].rank + inputs[1].rank - 1, 0)
    if node.op_type == "Unsqueeze":
        axes = next((len(a.ints) for a in node.attribute if a.name == "axes"), 0)
        return inputs[0].rank + max(axes, inputs[1].elements if len(inputs) > 1 else 0, 1) if inputs else rank
    if node.op_type in {"OneHot", "ConcatFromSequence"}:
        return rank + 1
    return rank


def _of_list(node: onnx.NodeProto) -> Extent:
    """A Constant given as a list of integers, or as something that holds no sizes."""
    return Extent(1, max((len(a.ints) for a in node.attribute), default=0))
