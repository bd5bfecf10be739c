"""Which tensors of a graph are trained, which are held, and where each lies in the graph."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np
import onnx_ir as ir

from .dtypes import TRAINABLE
from .operators.table import find_operator, is_scale_input, is_weight_input

_CARRIED_THROUGH = frozenset(
    "Cast DequantizeLinear Identity QuantizeLinear Reshape Squeeze Transpose Unsqueeze".split()
)


class Role(Enum):
    """What becomes of a constant tensor of the graph."""

    TRAINED = "trained"
    STATISTICS = "statistics"
    HELD = "held"


@dataclass(frozen=True)
class Weight:
    """A constant tensor of a graph: an initializer, or what a Constant node holds.

    Attributes:
        name: Its name in the graph; where two bodies have one of the same name, the second ends in ``#1``.
        value: The value in the graph.
        tensor: Its contents.
        is_node: Whether a Constant node holds it.
    """

    name: str
    value: ir.Value
    tensor: ir.TensorProtocol
    is_node: bool

    @property
    def uses(self) -> list[tuple[ir.Node, int]]:
        """The nodes that read it, and as which of their inputs."""
        return [(use.node, use.idx) for use in self.value.uses()]


def find_weights(model: ir.Model) -> Iterator[Weight]:
    """Every constant tensor of the main graph and of all bodies, in the graph's order; functions are left out."""
    seen: Counter[str] = Counter()
    for graph in _graphs(model.graph):
        held = [(v, v.const_value, False) for v in graph.initializers.values()]
        made = [
            (n.outputs[0], constant_of(n), True) for n in graph if n.op_type == "Constant" and not n.domain
        ]
        for value, tensor, is_node in (*held, *made):
            if tensor is None:
                continue
            name = value.name or ""
            count = seen[name]
            seen[name] += 1
            yield Weight(f"{name}#{count}" if count else name, value, tensor, is_node)


def constant_of(node: ir.Node) -> ir.TensorProtocol | None:
    """What a Constant node holds; None for strings and sparse tensors."""
    for name, attribute in node.attributes.items():
        if name == "value":
            return attribute.as_tensor()
        if name in {"value_float", "value_floats"}:
            return ir.tensor(attribute.value, dtype=ir.DataType.FLOAT)
        if name in {"value_int", "value_ints"}:
            return ir.tensor(attribute.value, dtype=ir.DataType.INT64)
    return None


def default_choice(weight: Weight) -> bool:
    """Whether a tensor is trained where nothing else is said.

    What an operator reads as its weight is: that of a linear, convolutional, recurrent or normalizing one, an
    embedding, the slope of a PRelu. Other initializers are too (biases that are added apart, positions, tokens),
    but for single numbers, which are parts of a formula as a rule; for scales of quantized numbers; and for what
    holds infinities, which is a mask. Other Constant nodes are not.
    """
    if weight.tensor.dtype not in TRAINABLE:
        return False
    if _is_read_as_weight(weight.value):
        return True
    if weight.is_node or weight.tensor.size <= 1 or all(is_scale_input(*use) for use in weight.uses):
        return False
    return bool(np.isfinite(weight.tensor.numpy()).all())


def role_of(weight: Weight, versions: dict[str, int], is_trained: Callable[[Weight], bool]) -> Role:
    """What becomes of a tensor.

    A tensor that is read as a statistic and as something else too (exporters merge tensors that are equal) is a
    statistic: trained, it would move both.
    """
    if any(_is_statistic(*read) for read in _reads(weight.value)):
        return Role.STATISTICS
    uses = weight.uses
    is_setting = bool(uses) and all(i in find_operator(node, versions).held for node, i in uses)
    can_train = weight.tensor.dtype in TRAINABLE and not is_setting
    return Role.TRAINED if can_train and is_trained(weight) else Role.HELD


def shared_statistic(weights: list[Weight]) -> Weight | None:
    """A tensor that is read as a statistic and by something else too; None where there is none."""
    for weight in weights:
        reads = list(_reads(weight.value))
        if any(_is_statistic(*read) for read in reads) and len(reads) > 1:
            return weight
    return None


def _is_statistic(node: ir.Node, index: int) -> bool:
    return node.op_type == "BatchNormalization" and not node.domain and index in (3, 4)


def _reads(value: ir.Value) -> Iterator[tuple[ir.Node, int]]:
    """Who reads a tensor, also behind an Identity."""
    for use in value.uses():
        if use.node.op_type == "Identity" and not use.node.domain:
            yield from _reads(use.node.outputs[0])
        else:
            yield use.node, use.idx


def torch_names(weights: list[Weight]) -> dict[str, str]:
    """A name that torch accepts for each weight: no dots, no clash with what a module has anyway."""
    taken: set[str] = set()
    names = {}
    for weight in weights:
        plain = "w_" + re.sub(r"\W", "_", weight.name)
        name, count = plain, 1
        while name in taken:
            name, count = f"{plain}_{count}", count + 1
        taken.add(name)
        names[weight.name] = name
    return names


def host_values(
    graph: ir.Graph, versions: dict[str, int], constants: Container[ir.Value]
) -> frozenset[ir.Value]:
    """Outputs of nodes that are computed in host memory.

    Those that only steer shapes (all that is computed from them is read as plain numbers in the end), and those
    that are computed from nothing but shapes and constants: to read a number back from a device would wait for it.
    """
    nodes = [node for inner in _graphs(graph) for node in inner]
    found: set[ir.Value] = set()
    for node in nodes:
        inputs = [value for value in node.inputs if value is not None and value not in constants]
        is_derived = bool(inputs) and all(value in found for value in inputs)
        if not _has_body(node) and (is_derived or (node.op_type in {"Shape", "Size"} and not node.domain)):
            found.update(node.outputs)

    def reads(node: ir.Node, index: int) -> bool:
        if index in find_operator(node, versions).host:
            return True
        return not _has_body(node) and all(v in found for v in node.outputs)

    def is_host(value: ir.Value) -> bool:
        uses = value.uses()
        return bool(uses) and not value.is_graph_output() and all(reads(u.node, u.idx) for u in uses)

    for node in reversed(nodes):
        found.update(v for v in node.outputs if is_host(v))
    return frozenset(found)


def _has_body(node: ir.Node) -> bool:
    return any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values())


def _is_read_as_weight(value: ir.Value) -> bool:
    for use in value.uses():
        if is_weight_input(use.node, use.idx):
            return True
        if use.idx == 0 and use.node.op_type in _CARRIED_THROUGH and _is_read_as_weight(use.node.outputs[0]):
            return True
    return False


def _graphs(graph: ir.Graph) -> Iterator[ir.Graph]:
    """A graph and its bodies, outermost first."""
    yield graph
    for node in graph:
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                yield from _graphs(attribute.as_graph())
            elif attribute.type == ir.AttributeType.GRAPHS:
                for inner in attribute.as_graphs():
                    yield from _graphs(inner)
