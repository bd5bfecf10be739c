"""Classes of ids: connected components of the ties, and the choice of ways through the nodes that have several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .emitter import Emission, Pin
from .grouping import is_weight
from .space import Ids, IndexSpace

Emit = Callable[[ir.Node, int], Emission]
"""Asks a node's rule for one of its options."""


def components(total: int, ties: Sequence[tuple[Ids, Ids]]) -> Ids:
    """The class of each id, numbered in the order of their first id.

    Args:
        total: Number of ids.
        ties: Pairs of arrays of ids that go together.
    """
    if not ties:
        return np.arange(total)
    return _joined(total, *(np.concatenate(side) for side in zip(*ties, strict=True)))


def _joined(total: int, first: Ids, second: Ids) -> Ids:
    graph = coo_matrix((np.ones(len(first), dtype=np.int8), (first, second)), shape=(total, total))
    labels: Ids = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def whole_axes(space: IndexSpace, labels: Ids) -> list[tuple[ir.Value, int, int]]:
    """Axes that one class fills by itself: nothing would be left of them, so it cannot go.

    Args:
        space: The ids.
        labels: The class of each id, shape ``(ids,)``.

    Returns:
        The value, the axis, and the first id on it.
    """
    axes = list(space.axes())
    if not axes:
        return []
    starts = np.asarray([start for _, _, start in axes])
    is_whole = np.minimum.reduceat(labels, starts) == np.maximum.reduceat(labels, starts)
    return [axes[i] for i in np.flatnonzero(is_whole).tolist()]


def choose_options(
    space: IndexSpace,
    emissions: Mapping[ir.Node, Emission],
    counts: Mapping[ir.Node, int],
    pins: Iterable[Pin],
    emit: Emit,
) -> dict[ir.Node, Emission]:
    """Carry the ids through each node in the way that leaves most parameters free, one node after the other.

    Args:
        space: The ids.
        emissions: What each node says of its first option.
        counts: The options of each node.
        pins: What no option can free.
        emit: Asks for another option.

    Returns:
        The emissions to take.
    """
    several = [node for node, count in counts.items() if count > 1]
    if not several:
        return dict(emissions)
    search = _Search(space, [e for node, e in emissions.items() if counts[node] <= 1], pins)
    chosen = {node: search.mapped(emissions[node]) for node in several}
    best = search.weigh(chosen.values())
    for node in several:
        if not search.is_touched(node, best):
            continue
        for option in range(1, counts[node]):
            trial = {**chosen, node: search.mapped(emit(node, option))}
            other = search.weigh(trial.values())
            if other.free > best.free:
                chosen, best = trial, other
    return {**emissions, **{node: part.emission for node, part in chosen.items()}}


@dataclass(frozen=True)
class _Mapped:
    """An emission in terms of the classes of the fixed nodes.

    Attributes:
        emission: The emission.
        first: One side of its ties.
        second: The other.
        pinned: The classes that it pins.
    """

    emission: Emission
    first: Ids
    second: Ids
    pinned: Ids


@dataclass(frozen=True)
class _Weighed:
    """One choice of options.

    Attributes:
        frozen: Whether each class of the fixed nodes may not be cut, shape ``(classes,)``.
        free: Elements of weights that could go, counted once for each axis.
    """

    frozen: npt.NDArray[np.bool_]
    free: int


class _Search:
    """What all choices have in common is joined once; a choice joins what is left, which is little.

    Args:
        space: The ids.
        fixed: Emissions of the nodes that have one option.
        pins: What no option can free.
    """

    def __init__(self, space: IndexSpace, fixed: Sequence[Emission], pins: Iterable[Pin]) -> None:
        self.space = space
        self.labels = components(space.total, [tie for e in fixed for tie in e.ties])
        self.classes = int(self.labels.max(initial=-1)) + 1
        written = [pin.ids for pin in (*pins, *(pin for e in fixed for pin in e.pins))]
        self.pinned = np.unique(self.labels[_flat(written)])
        # Sums of integers below 2 ** 53 are exact in doubles.
        self.elements = np.bincount(self.labels, _elements(space), minlength=self.classes)
        # Most axes hold the same classes as others do: the channels along a stream, for one.
        ranges = [self.labels[ids] for value in space.values() for _, ids in space.all_ids(value) if len(ids)]
        distinct = list({part.tobytes(): part for part in ranges}.values())
        self.on_axes = _flat(distinct)
        self.starts = np.cumsum([0, *(len(part) for part in distinct)])[:-1]

    def mapped(self, emission: Emission) -> _Mapped:
        """An emission, ready to be weighed."""
        sides = [self.labels[_flat([tie[side] for tie in emission.ties])] for side in (0, 1)]
        first, second = np.unique(np.stack(sides), axis=1)
        return _Mapped(emission, first, second, self.labels[_flat([pin.ids for pin in emission.pins])])

    def weigh(self, chosen: Iterable[_Mapped]) -> _Weighed:
        """What a choice freezes, and what it leaves free."""
        parts = list(chosen)
        joined = _joined(self.classes, _flat([p.first for p in parts]), _flat([p.second for p in parts]))
        pinned = np.zeros(self.classes, dtype=bool)
        pinned[joined[_flat([self.pinned, *(p.pinned for p in parts)])]] = True
        if len(self.starts):
            on_axes = joined[self.on_axes]
            lowest = np.minimum.reduceat(on_axes, self.starts)
            pinned[lowest[lowest == np.maximum.reduceat(on_axes, self.starts)]] = True  # whole axes
        frozen = pinned[joined]
        return _Weighed(frozen, int(self.elements[~frozen].sum()))

    def is_touched(self, node: ir.Node, weighed: _Weighed) -> bool:
        """Whether anything that a node touches is frozen."""
        values = [v for v in (*node.inputs, *node.outputs) if v is not None and v in self.space]
        ids = _flat([ids for value in values for _, ids in self.space.all_ids(value)])
        return bool(weighed.frozen[self.labels[ids]].any())


def _flat(parts: Sequence[Ids]) -> Ids:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def _elements(space: IndexSpace) -> npt.NDArray[np.int64]:
    """How many elements of a weight go with each id, shape ``(ids,)``."""
    found = np.zeros(space.total, dtype=np.int64)
    for value in space.values():
        if is_weight(value) and value.const_value is not None:
            size = value.const_value.size
            for _, ids in space.all_ids(value):
                found[ids] = size // max(len(ids), 1)
    return found
