"""Which neurons go together: connected components over the ids of all indices.

Every rule emits ties (ids that must be cut together) and pins (ids that may not be cut). The components of the
ties are the classes; a class with a pin is frozen with the pin's reason. Classes that touch the same axes of the
same initializers form a group: the channels of a layer, or of a whole residual stage.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ...core.reports import Skip
from ...core.shapes import Dims
from .emitter import Emission, Emitter, FreezeError, Pin
from .rules import RULES
from .space import IndexSpace

_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE})
_WEIGHTS = _FLOATS | {ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT4, ir.DataType.UINT4}


_NO_NEURONS = frozenset({"spatial", "steps"})
"""Reasons of axes that hold no neurons: the extent of a kernel or an image, the directions of a recurrent layer."""


@dataclass(frozen=True)
class Member:
    """An axis of an initializer that a group is cut from.

    Attributes:
        value: The initializer.
        axis: Its axis.
        per_neuron: How many indices of the axis one neuron takes.
    """

    value: ir.Value
    axis: int
    per_neuron: int

    @property
    def params(self) -> int:
        """Elements that one neuron takes from this initializer."""
        tensor = self.value.const_value
        return (
            0 if tensor is None else self.per_neuron * tensor.size // max(tensor.shape.numpy()[self.axis], 1)
        )


@dataclass(frozen=True)
class Group:
    """Neurons that are interchangeable to the graph: each touches the same axes of the same initializers.

    Attributes:
        name: Name of the initializer that best names it.
        classes: Label of each neuron's class, in the order of their first index; shape ``(neurons,)``.
        members: The axes they are cut from.
        frozen: The reason why none of them may be cut, or None.
        aliases: Names of the initializers and nodes that make these neurons (not of those that read them).
    """

    name: str
    classes: npt.NDArray[np.int64]
    members: tuple[Member, ...]
    frozen: Skip | None
    aliases: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        """Number of neurons."""
        return len(self.classes)

    @property
    def params(self) -> int:
        """Parameters that one neuron costs."""
        return sum(member.params for member in self.members)


class Coupling:
    """The analysis of one graph.

    Attributes:
        space: Ids of the graph's axes.
        labels: The class of each id, shape ``(ids,)``.
        groups: The groups that may be cut.
        frozen: Groups that may not be cut, each with its reason.
        contractions: Every sum over an axis.
    """

    def __init__(self, space: IndexSpace, emissions: Mapping[ir.Node, Emission], pins: list[Pin]) -> None:
        self.space = space
        self._emissions = emissions
        self._pins = [*pins, *(pin for e in emissions.values() for pin in e.pins)]
        self.labels = _components(space.total, [tie for e in emissions.values() for tie in e.ties])
        self.contractions = tuple(c for e in emissions.values() for c in e.contractions)

    @cached_property
    def pinned(self) -> npt.NDArray[np.int64]:
        """For each class the first pin that freezes it, -1 where none does; shape ``(classes,)``."""
        first = np.full(int(self.labels.max(initial=-1)) + 1, -1, dtype=np.int64)
        for index in range(len(self._pins) - 1, -1, -1):
            first[self.labels[self._pins[index].ids]] = index
        return first

    @cached_property
    def all_groups(self) -> tuple[Group, ...]:
        """Every group of neurons that touches a weight, frozen or not."""
        return tuple(_named_apart(_build_groups(self)))

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The groups that may be cut."""
        return tuple(g for g in self.all_groups if g.frozen is None)

    @cached_property
    def frozen(self) -> tuple[Group, ...]:
        """The groups that may not be cut, each with its reason."""
        return tuple(g for g in self.all_groups if g.frozen is not None)

    def reason(self, label: int) -> Skip | None:
        """Why a class may not be cut, or None."""
        index = int(self.pinned[label])
        return None if index < 0 else self._pins[index].reason

    def classes_of(self, value: ir.Value, axis: int) -> npt.NDArray[np.int64] | None:
        """The class of each index along an axis; None where the axis is dynamic."""
        ids = self.space.ids(value, axis)
        return None if ids is None else self.labels[ids]


def analyze(
    model: ir.Model, shapes: Mapping[str, Dims] | None = None, *, approximate: bool = False
) -> Coupling:
    """Find which neurons of a graph go together, and which may be cut.

    Args:
        model: The graph with inferred shapes, functions inlined, constants lifted to initializers.
        shapes: Shapes that inference could not find, by value name.
        approximate: Whether neurons may be cut over which a LayerNormalization or a mean runs: what is left then
            has other statistics.

    Returns:
        The coupling; operators without a rule have frozen all they touch.
    """
    space = IndexSpace(model.graph, shapes, is_approximate=approximate)
    counts = {node: _option_count(node, space) for node in model.graph}
    emissions = {node: _emit(node, space, 0) for node in model.graph}
    pins = list(_contract_pins(model.graph, space))
    best = Coupling(space, emissions, pins)
    for node, count in counts.items():
        if count > 1:
            best = _try_options(best, node, count, pins)
    return best


def _try_options(best: Coupling, node: ir.Node, count: int, pins: list[Pin]) -> Coupling:
    """Carry the ids through a node in the way that leaves most parameters free."""
    if not _touches_frozen(best, node):
        return best
    for option in range(1, count):
        emissions = {**best._emissions, node: _emit(node, best.space, option)}
        other = Coupling(best.space, emissions, pins)
        if _free_params(other) > _free_params(best):
            best = other
    return best


def _touches_frozen(coupling: Coupling, node: ir.Node) -> bool:
    values = [v for v in (*node.inputs, *node.outputs) if v is not None and v in coupling.space]
    ids = [ids for v in values for _, ids in coupling.space.all_ids(v)]
    return any((coupling.pinned[coupling.labels[i]] >= 0).any() for i in ids)


def _free_params(coupling: Coupling) -> int:
    """Elements of weights that at least one free axis could take away, counted once for each axis."""
    total = 0
    for value in coupling.space.values():
        tensor = value.const_value
        if tensor is None or tensor.dtype not in _WEIGHTS:
            continue
        for _, ids in coupling.space.all_ids(value):
            free = int((coupling.pinned[coupling.labels[ids]] < 0).sum())
            total += free * tensor.size // max(len(ids), 1)
    return total


def _components(
    total: int, ties: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]
) -> npt.NDArray[np.int64]:
    if not ties:
        return np.arange(total)
    first = np.concatenate([a for a, _ in ties])
    second = np.concatenate([b for _, b in ties])
    graph = coo_matrix((np.ones(len(first), dtype=np.int8), (first, second)), shape=(total, total))
    labels: npt.NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def _option_count(node: ir.Node, space: IndexSpace) -> int:
    rule = RULES.get((_domain(node), node.op_type))
    if rule is None:
        return 1
    try:
        return rule.options(node, Emitter(node, space))
    except FreezeError:
        return 1


def _emit(node: ir.Node, space: IndexSpace, option: int) -> Emission:
    """Ask the node's rule; where there is none, or it cannot follow, freeze everything the node touches."""
    rule = RULES.get((_domain(node), node.op_type))
    emitter = Emitter(node, space)
    code, text = "no-rule", "no rule for this operator"
    if rule is not None:
        try:
            rule.emit(node, emitter, option)
        except FreezeError as freeze:
            code, text = freeze.code, freeze.text
        else:
            return emitter.out
    frozen = Emitter(node, space)
    for value in (*node.inputs, *node.outputs, *_captured(node)):
        if value is not None and value in space:
            for axis, ids in space.all_ids(value):
                frozen.pin(ids, axis, code, text)
    return frozen.out


def _captured(node: ir.Node) -> Iterator[ir.Value]:
    """Values of the main graph that the node's subgraphs read, and what those return."""
    for attribute in node.attributes.values():
        if attribute.type not in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
            continue
        graphs = [attribute.as_graph()] if attribute.type == ir.AttributeType.GRAPH else attribute.as_graphs()
        for graph in graphs:
            yield from graph.outputs
            for inner in ir.traversal.RecursiveGraphIterator(graph):
                yield from (value for value in inner.inputs if value is not None)


def _contract_pins(graph: ir.Graph, space: IndexSpace) -> Iterator[Pin]:
    """Graph inputs and outputs are a public contract."""
    for kind, values in (("input", graph.inputs), ("output", graph.outputs)):
        for value in values:
            if value.const_value is None and value in space:
                for axis, ids in space.all_ids(value):
                    yield Pin(
                        ids, Skip(value.name or "", axis, f"graph-{kind}", f"graph {kind} {value.name}")
                    )


def _build_groups(coupling: Coupling) -> Iterator[Group]:
    touched: dict[int, list[tuple[ir.Value, int]]] = defaultdict(list)
    for value in coupling.space.values():
        tensor = value.const_value
        if tensor is None or tensor.dtype not in _WEIGHTS or tensor.size <= 1:
            continue
        for axis, ids in coupling.space.all_ids(value):
            if len(ids) > 1:
                for label in coupling.labels[ids]:
                    touched[int(label)].append((value, axis))
    contracted = _contracted_classes(coupling)
    by_axes: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for label, places in touched.items():
        reason = coupling.reason(label)
        state = (reason.node, reason.code) if reason else None
        by_axes[(state, label in contracted, *sorted((v.name or "", axis) for v, axis in places))].append(
            label
        )
    for labels in by_axes.values():
        reason = coupling.reason(labels[0])
        if reason is not None and reason.code in _NO_NEURONS:
            continue
        yield _group(coupling, labels, touched[labels[0]], labels[0] in contracted)


def _named_apart(groups: Iterable[Group]) -> Iterator[Group]:
    """Number groups of one name: the channels of a layer can fall into several, of which each is cut by itself.

    Their order is that of their first index, which no cut changes: a group keeps its name while it shrinks.
    """
    seen: Counter[str] = Counter()
    for group in groups:
        seen[group.name] += 1
        number = seen[group.name]
        yield (
            group
            if number == 1
            else replace(group, name=f"{group.name}#{number}", aliases=group.aliases | {group.name})
        )


def _group(
    coupling: Coupling, labels: list[int], places: list[tuple[ir.Value, int]], is_contracted: bool
) -> Group:
    counts: dict[tuple[ir.Value, int], int] = defaultdict(int)
    for place in places:
        counts[place] += 1
    members = tuple(Member(value, axis, count) for (value, axis), count in counts.items())
    largest = max(
        members, key=lambda m: (m.value.const_value.size if m.value.const_value else 0, m.axis == 0)
    )
    reason = coupling.reason(labels[0])
    if reason is None and not is_contracted:
        text = (
            "nothing sums over these neurons: cutting them would change the output's shape or a mere factor"
        )
        reason = Skip(largest.value.name or "", largest.axis, "no-consumer", text)
    producer = next((m for m in members if _produces(coupling, m)), largest)
    return Group(producer.value.name or "", np.asarray(labels), members, reason, _aliases(coupling, members))


def _aliases(coupling: Coupling, members: tuple[Member, ...]) -> frozenset[str]:
    made = [m.value for m in members if not _is_read(coupling, m)]
    nodes = {use.node.name for value in made for use in value.uses()}
    return frozenset(name for name in (*(v.name for v in made), *nodes) if name)


def _is_read(coupling: Coupling, member: Member) -> bool:
    """Whether a layer sums over this axis."""
    return any(c.weight is member.value and c.weight_axis == member.axis for c in coupling.contractions)


def _produces(coupling: Coupling, member: Member) -> bool:
    """Whether the axis is that of a layer's outputs: what names a group best."""
    return any(c.weight is member.value and c.weight_axis != member.axis for c in coupling.contractions)


def _contracted_classes(coupling: Coupling) -> set[int]:
    found: set[int] = set()
    for contraction in coupling.contractions:
        labels = coupling.classes_of(contraction.value, contraction.axis)
        if labels is not None:
            found.update(int(label) for label in labels)
    return found


def _domain(node: ir.Node) -> str:
    return "" if node.domain == "ai.onnx" else node.domain
