"""Groups: classes that go the same way through the graph, so that one neuron of them is as good as another to it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...core.reports import Skip
from .emitter import Contraction
from .space import Ids, IndexSpace

_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE})
WEIGHTS = _FLOATS | {ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT4, ir.DataType.UINT4}
"""Element types of what neurons are cut from."""

_NO_NEURONS = frozenset({"spatial", "steps"})
"""Reasons of axes that hold no neurons: the extent of a kernel or an image, the directions of a recurrent layer."""

Reason = Callable[[int], Skip | None]
"""Why a class may not be cut, by its label."""


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
    """Neurons that go the same way through the graph: each has indices on the same axes of the same values.

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


class Grouping:
    """Sorts classes into groups.

    Args:
        space: Ids of the graph's axes.
        labels: The class of each id, shape ``(ids,)``.
        contractions: Every sum over an axis.
        reason: Why a class may not be cut.
    """

    def __init__(
        self, space: IndexSpace, labels: Ids, contractions: Sequence[Contraction], reason: Reason
    ) -> None:
        self.space, self.labels, self.reason = space, labels, reason
        self._axes = [(value, axis) for value in space.values() for axis, _ in space.all_ids(value)]
        sizes = [len(ids) for value in space.values() for _, ids in space.all_ids(value)]
        self._axis_of_id = np.repeat(np.arange(len(sizes)), sizes)
        self._sizes = np.asarray(sizes, dtype=np.int64)
        self._read: dict[ir.Value, set[int]] = defaultdict(set)
        self._contracted = np.zeros(int(labels.max(initial=-1)) + 1, dtype=bool)
        for contraction in contractions:
            if contraction.weight is not None:
                self._read[contraction.weight].add(contraction.weight_axis)
            ids = space.ids(contraction.value, contraction.axis)
            if ids is not None:
                self._contracted[labels[ids]] = True

    def groups(self) -> tuple[Group, ...]:
        """Every group of neurons that touches a weight, frozen or not."""
        return tuple(_named_apart(self._build()))

    def _build(self) -> Iterator[Group]:
        alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for label in self._labels_on_weights:
            reason = self.reason(label)
            state = (reason.node, reason.code) if reason else None
            alike[(state, bool(self._contracted[label]), self._axes_of(label).tobytes())].append(label)
        for labels in alike.values():
            reason = self.reason(labels[0])
            if reason is None or reason.code not in _NO_NEURONS:
                yield self._group(labels)

    @cached_property
    def _labels_on_weights(self) -> list[int]:
        """The classes that take something from a weight, in the order of their first index there."""
        labels, first = np.unique(self.labels[self._holds_weights[self._axis_of_id]], return_index=True)
        found: list[int] = labels[np.argsort(first)].tolist()
        return found

    @cached_property
    def _holds_weights(self) -> npt.NDArray[np.bool_]:
        """Which axes are those of weights, and longer than 1."""
        held = [is_weight(value) for value, _ in self._axes]
        return np.asarray(held, dtype=bool) & (self._sizes > 1)

    @cached_property
    def _sorted(self) -> tuple[Ids, Ids]:
        """The axis of each id, sorted by class; and where each class begins."""
        order = np.argsort(self.labels, kind="stable")
        counts = np.bincount(self.labels, minlength=len(self._contracted))
        return self._axis_of_id[order], np.concatenate([[0], np.cumsum(counts)])

    def _axes_of(self, label: int) -> Ids:
        """Every axis that a class has indices on, activations included, as often as it has.

        Where a group keeps one neuron, no axis that it has indices on is left empty.
        """
        axes, start = self._sorted
        return axes[start[label] : start[label + 1]]

    def _group(self, labels: list[int]) -> Group:
        counts = Counter(axis for axis in self._axes_of(labels[0]).tolist() if self._holds_weights[axis])
        places = [(*self._axes[axis], count) for axis, count in counts.items()]
        members = tuple(Member(value, axis, count) for value, axis, count in places)
        largest = max(
            members, key=lambda m: (m.value.const_value.size if m.value.const_value else 0, m.axis == 0)
        )
        reason = self.reason(labels[0])
        if reason is None and not self._contracted[labels[0]]:
            text = "nothing sums over these neurons: cutting them would change the output's shape or a mere factor"
            reason = Skip(largest.value.name or "", largest.axis, "no-consumer", text)
        producer = next((m for m in members if self._produces(m)), largest)
        return Group(producer.value.name or "", np.asarray(labels), members, reason, self._aliases(members))

    def _aliases(self, members: tuple[Member, ...]) -> frozenset[str]:
        made = [m.value for m in members if m.axis not in self._read.get(m.value, ())]
        nodes = {use.node.name for value in made for use in value.uses()}
        return frozenset(name for name in (*(v.name for v in made), *nodes) if name)

    def _produces(self, member: Member) -> bool:
        """Whether the axis is that of a layer's outputs: what names a group best."""
        return bool(self._read.get(member.value, set()) - {member.axis})


def is_weight(value: ir.Value) -> bool:
    """Whether neurons are cut from a value: a constant of more than one element, and no count or index."""
    tensor = value.const_value
    return tensor is not None and tensor.dtype in WEIGHTS and tensor.size > 1


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
