"""What a graph costs when its groups have given widths: parameters, bytes, multiply-accumulates or measured time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...core.metrics import MACS_RULES, WEIGHT_TYPES, node_macs, sample_shapes
from ...core.shapes import concrete_shapes
from ..coupling import Coupling, Group

_MULTIPLYING = frozenset(MACS_RULES)

Widths = npt.NDArray[np.int64]
"""How many neurons each group keeps, shape ``(groups,)``."""


Place: TypeAlias = tuple[ir.Value, int]
"""An axis of a value."""

_ROUNDING = 1e-6
"""A cost that is kept up to date is this near, as a share, to what it is when added up anew; far nearer in truth."""


@dataclass(frozen=True)
class NodeTimes:
    """How long a node takes, by how much it has to do.

    Attributes:
        work: Multiply-accumulates, or elements of its output where it has none; rising, shape ``(points,)``.
        ms: Milliseconds at each, not falling, shape ``(points,)``.
    """

    work: tuple[float, ...]
    ms: tuple[float, ...]

    def at(self, work: float) -> float:
        """Milliseconds between the points by interpolation, beyond them those of the nearest."""
        return float(np.interp(work, self.work, self.ms))


@dataclass(frozen=True)
class TimeTable:
    """Times of a graph's nodes on a machine, measured at several widths.

    Attributes:
        nodes: By the node's name.
        rest_ms: What no node accounts for.
    """

    nodes: Mapping[str, NodeTimes]
    rest_ms: float = 0.0


@dataclass(frozen=True)
class _Axis:
    """An axis whose size depends on the widths of some groups: ``rest + per_neuron @ widths[groups]``."""

    size: int
    rest: int
    groups: npt.NDArray[np.int64]
    per_neuron: npt.NDArray[np.int64]

    def share(self, widths: Widths) -> float:
        return (self.rest + int(self.per_neuron @ widths[self.groups])) / self.size


@dataclass(frozen=True)
class _Item:
    """Something whose cost is proportional to the product of its axes, or a function of that product."""

    cost: float
    axes: tuple[_Axis, ...]
    times: NodeTimes | None = None


Cost: TypeAlias = tuple[float, Sequence[Place], NodeTimes | None]
"""A cost (an amount of work, where times are given), the axes it is proportional to, and the times of the work."""


class CostModel:
    """The cost of a graph as a function of its groups' widths.

    Args:
        coupling: The analysis.
        groups: The groups, in the order of the widths.
        items: What costs.
    """

    def __init__(
        self,
        coupling: Coupling,
        groups: Sequence[Group],
        items: Sequence[Cost],
    ) -> None:
        owner = np.full(int(coupling.labels.max(initial=-1)) + 1, -1, dtype=np.int64)
        for index, group in enumerate(groups):
            owner[group.classes] = index
        self.full = np.asarray([group.size for group in groups], dtype=np.int64)
        self._items = [
            _Item(cost, tuple(_axes(coupling, owner, self.full, axes)), times) for cost, axes, times in items
        ]
        self._of_group: list[list[int]] = [[] for _ in groups]
        for place, item in enumerate(self._items):
            for index in _groups_of(item):
                self._of_group[index].append(place)

    def neighbours(self, group: int) -> list[int]:
        """The groups whose savings depend on the width of a group, itself among them."""
        return sorted(
            {g for place in self._of_group[group] for g in _groups_of(self._items[place])} | {group}
        )

    def total(self, widths: Widths) -> float:
        """The cost of the whole graph."""
        return sum(_cost(item, widths) for item in self._items)

    def saving(self, widths: Widths, group: int, width: int) -> float:
        """What is saved when one group goes down to a width."""
        fewer = widths.copy()
        fewer[group] = width
        items = (self._items[place] for place in self._of_group[group])
        return sum(_cost(item, widths) - _cost(item, fewer) for item in items)


class Ledger:
    """The cost of a graph whose groups change their widths one after the other.

    Args:
        model: The cost model.
        widths: The widths to begin with.
    """

    def __init__(self, model: CostModel, widths: Widths) -> None:
        self.model = model
        self.widths = widths.copy()
        self._costs = [_cost(item, widths) for item in model._items]
        self._about = sum(self._costs)

    def put(self, group: int, width: int) -> None:
        """Give a group another width."""
        self.widths[group] = width
        for place in self.model._of_group[group]:
            cost = _cost(self.model._items[place], self.widths)
            self._about += cost - self._costs[place]
            self._costs[place] = cost

    def exceeds(self, budget: float) -> bool:
        """Whether the cost is above a budget; added up anew only where rounding could decide."""
        if abs(self._about - budget) > _ROUNDING * abs(budget):
            return self._about > budget
        return sum(self._costs) > budget


def params_model(coupling: Coupling, groups: Sequence[Group]) -> CostModel:
    """Count the elements of all weights."""
    return CostModel(coupling, groups, [(float(t.size), axes, None) for t, axes in _stored(coupling)])


def bytes_model(model: ir.Model, coupling: Coupling, groups: Sequence[Group]) -> CostModel:
    """Count the bytes of all weights, and of the graph that holds them, which no cut makes smaller."""
    rest = sum(len(ir.to_proto(node).SerializeToString()) for node in model.graph)
    items: list[Cost] = [(float(t.nbytes), axes, None) for t, axes in _stored(coupling)]
    return CostModel(coupling, groups, [(float(rest), [], None), *items])


def _stored(coupling: Coupling) -> Iterator[tuple[ir.TensorProtocol, list[Place]]]:
    for value in coupling.space.values():
        tensor = value.const_value
        if tensor is not None and tensor.dtype in WEIGHT_TYPES and tensor.size:
            yield tensor, [(value, axis) for axis in range(len(tensor.shape))]


def macs_model(
    model: ir.Model,
    coupling: Coupling,
    groups: Sequence[Group],
    input_shapes: Mapping[str, Sequence[int]] | None,
) -> CostModel:
    """Count the multiply-accumulates of one sample.

    A convolution or product with a constant is proportional to every axis of its weight; a product of two
    activations to the contracted axis and all axes of its result. Where a shape is unknown a node counts nothing.
    """
    items: list[Cost] = []
    for node, macs in node_macs(model, input_shapes).items():
        if macs:
            items += [(macs * share, axes, None) for share, axes in _multiplied(node, coupling)]
    return CostModel(coupling, groups, items)


def time_model(
    model: ir.Model,
    coupling: Coupling,
    groups: Sequence[Group],
    input_shapes: Mapping[str, Sequence[int]] | None,
    table: TimeTable,
) -> CostModel:
    """Look measured times up: a node takes as long as it did when it had as much to do."""
    work = node_work(model, input_shapes)
    items: list[Cost] = [(table.rest_ms, [], None)]
    for node in model.graph:
        times, amount = table.nodes.get(node.name or ""), work.get(node.name or "")
        if times is None or not amount:
            continue
        axes = [axes for _, axes in _multiplied(node, coupling)][:1]
        places = (
            axes[0] if axes else [(node.outputs[0], axis) for axis in range(_rank(coupling, node.outputs[0]))]
        )
        items.append((float(amount), places, times))
    return CostModel(coupling, groups, items)


def node_work(model: ir.Model, input_shapes: Mapping[str, Sequence[int]] | None) -> dict[str, float]:
    """What each node has to do for one sample, by its name: multiply-accumulates, or elements that it writes."""
    fixed = dict(input_shapes) if input_shapes is not None else sample_shapes(model)
    shapes = concrete_shapes(model, fixed)
    macs = node_macs(model, fixed)
    found = {}
    for node in model.graph:
        dims = [d for d in shapes.get(node.outputs[0].name or "") or () if isinstance(d, int)]
        found[node.name or ""] = float(macs.get(node) or math.prod(dims))
    return found


def _multiplied(node: ir.Node, coupling: Coupling) -> list[tuple[float, list[Place]]]:
    """The axes that a node's multiply-accumulates are proportional to; a recurrent layer's fall into two parts."""
    weights = _weights_of(node) if node.op_type in _MULTIPLYING else []
    if weights:
        total = sum(tensor.size for _, tensor in weights)
        return [(t.size / total, [(value, axis) for axis in range(len(t.shape))]) for value, t in weights]
    if node.op_type not in _MULTIPLYING or node.inputs[0] is None:
        return []
    summed, made = (range(_rank(coupling, v)) for v in (node.inputs[0], node.outputs[0]))
    return [
        (
            1.0,
            [*((node.inputs[0], axis) for axis in summed[-1:]), *((node.outputs[0], axis) for axis in made)],
        )
    ]


def _rank(coupling: Coupling, value: ir.Value) -> int:
    return len(coupling.space.dims(value) or ())


def _weights_of(node: ir.Node) -> list[tuple[ir.Value, ir.TensorProtocol]]:
    """The constant that a layer multiplies with; a recurrent layer has two, for its input and for its state."""
    inputs = node.inputs[1:3] if node.op_type in {"LSTM", "GRU", "RNN"} else node.inputs[:2]
    found = [(v, v.const_value) for v in inputs if v is not None and v.const_value is not None]
    return found if node.op_type in {"LSTM", "GRU", "RNN"} else found[:1]


def _axes(
    coupling: Coupling, owner: npt.NDArray[np.int64], full: Widths, axes: Sequence[tuple[ir.Value, int]]
) -> list[_Axis]:
    found = []
    for value, axis in axes:
        labels = coupling.classes_of(value, axis) if value in coupling.space else None
        if labels is None or not len(labels):
            continue
        owners = owner[labels]
        groups, counts = np.unique(owners[owners >= 0], return_counts=True)
        if len(groups):
            per_neuron = counts // np.maximum(full[groups], 1)
            found.append(_Axis(len(labels), int(len(labels) - counts.sum()), groups, per_neuron))
    return found


def _groups_of(item: _Item) -> set[int]:
    return {int(group) for axis in item.axes for group in axis.groups[axis.per_neuron > 0]}


def _cost(item: _Item, widths: Widths) -> float:
    cost = item.cost
    for axis in item.axes:
        cost *= axis.share(widths)
    return cost if item.times is None else item.times.at(cost)
