"""What a graph costs when its groups have given widths: parameters or multiply-accumulates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...core.metrics import node_macs
from ..coupling import Coupling, Group

Widths = npt.NDArray[np.int64]
"""How many neurons each group keeps, shape ``(groups,)``."""


@dataclass(frozen=True)
class _Axis:
    """An axis whose size depends on widths: ``rest + per_neuron @ widths``."""

    size: int
    rest: int
    per_neuron: npt.NDArray[np.int64]

    def share(self, widths: Widths) -> float:
        return (self.rest + int(self.per_neuron @ widths)) / self.size


@dataclass(frozen=True)
class _Item:
    """Something whose cost is proportional to the product of its axes."""

    cost: float
    axes: tuple[_Axis, ...]


class CostModel:
    """The cost of a graph as a function of its groups' widths.

    Args:
        coupling: The analysis.
        groups: The groups, in the order of the widths.
        items: Costs and the axes they are proportional to.
    """

    def __init__(
        self,
        coupling: Coupling,
        groups: Sequence[Group],
        items: Sequence[tuple[float, Sequence[tuple[ir.Value, int]]]],
    ) -> None:
        owner = np.full(int(coupling.labels.max(initial=-1)) + 1, -1, dtype=np.int64)
        for index, group in enumerate(groups):
            owner[group.classes] = index
        self.full = np.asarray([group.size for group in groups], dtype=np.int64)
        self._items = [_Item(cost, tuple(_axes(coupling, owner, self.full, axes))) for cost, axes in items]
        self._of_group: dict[int, list[_Item]] = {index: [] for index in range(len(groups))}
        for item in self._items:
            for index in {int(i) for axis in item.axes for i in np.flatnonzero(axis.per_neuron)}:
                self._of_group[index].append(item)

    def total(self, widths: Widths) -> float:
        """The cost of the whole graph."""
        return sum(_cost(item, widths) for item in self._items)

    def saving(self, widths: Widths, group: int, width: int) -> float:
        """What is saved when one group goes down to a width."""
        fewer = widths.copy()
        fewer[group] = width
        return sum(_cost(item, widths) - _cost(item, fewer) for item in self._of_group[group])


def params_model(coupling: Coupling, groups: Sequence[Group]) -> CostModel:
    """Count the elements of all weights."""
    items = []
    for value in coupling.space.values():
        tensor = value.const_value
        if tensor is not None and tensor.dtype.is_floating_point() and tensor.size:
            items.append((float(tensor.size), [(value, axis) for axis in range(len(tensor.shape))]))
    return CostModel(coupling, groups, items)


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
    items = []
    for node, macs in node_macs(model, input_shapes).items():
        weights = _weights_of(node)
        if macs and weights:
            total = sum(tensor.size for _, tensor in weights)
            for value, tensor in weights:
                axes = [(value, axis) for axis in range(len(tensor.shape))]
                items.append((macs * tensor.size / total, axes))
        elif macs and node.inputs[0] is not None:
            ranks = [len(coupling.space.dims(v) or ()) for v in (node.inputs[0], node.outputs[0])]
            axes = [(node.inputs[0], ranks[0] - 1), *((node.outputs[0], axis) for axis in range(ranks[1]))]
            items.append((float(macs), axes))
    return CostModel(coupling, groups, items)


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
        counts = np.bincount(owner[labels][owner[labels] >= 0], minlength=len(full))
        if counts.any():
            found.append(_Axis(len(labels), int(len(labels) - counts.sum()), counts // np.maximum(full, 1)))
    return found


def _cost(item: _Item, widths: Widths) -> float:
    cost = item.cost
    for axis in item.axes:
        cost *= axis.share(widths)
    return cost
