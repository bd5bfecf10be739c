"""Partitions: sets of units that a provider can run in one go, since no way from one to another leaves the set.

This is the algorithm of ONNX Runtime (``CreateSupportedPartitionNodeGroups`` in ``core/providers/partitioning_utils.cc``),
Kahn's sort in waves. A wave takes every supported unit that is ready, and every unsupported one that reads nothing of the
wave; an unsupported one that does stands on the border and begins the next wave. So a partition never needs a result
of the CPU that itself needs the partition, and units without a connection may share one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import onnx_ir as ir

from .qdq_units import Unit


def partitions_of(units: Sequence[Unit], supported: Sequence[bool]) -> tuple[tuple[int, ...], ...]:
    """Divide the supported units of a graph into partitions.

    Args:
        units: All units of the graph.
        supported: For each, whether the provider runs it.

    Returns:
        For each partition the indices of its units, in an order in which they can run.
    """
    after = followers_of(units)
    waiting = [0] * len(units)
    for followers in after:
        for index in followers:
            waiting[index] += 1
    ready = deque(index for index, count in enumerate(waiting) if not count)
    later: deque[int] = deque()
    found: list[tuple[int, ...]] = []
    current: list[int] = []
    border: set[int] = set()
    while ready or later:
        if not ready:
            found.append(tuple(current))
            current, border = [], set()
            ready, later = later, deque()
            continue
        index = ready.popleft()
        if not supported[index] and index in border:
            later.append(index)
            continue
        if supported[index]:
            current.append(index)
            border.update(after[index])
        for follower in sorted(after[index]):
            waiting[follower] -= 1
            if not waiting[follower]:
                ready.append(follower)
    return tuple(group for group in (*found, tuple(current)) if group)


def followers_of(units: Sequence[Unit]) -> list[set[int]]:
    """Which units read a result of each unit.

    Args:
        units: All units of a graph.

    Returns:
        For each unit the indices of those that read something of it.
    """
    makers = {
        value: index for index, unit in enumerate(units) for node in unit.nodes for value in node.outputs
    }
    for index, unit in enumerate(units):
        if (
            not unit.is_group
        ):  # what a shared DequantizeLinear gives to others comes from where it stands alone
            makers |= dict.fromkeys(unit.target.outputs, index)
    after: list[set[int]] = [set() for _ in units]
    for index, unit in enumerate(units):
        own = {value for node in unit.nodes for value in node.outputs}
        for value in (v for node in unit.nodes for v in _reads(node)):
            if value in makers and value not in own:
                after[makers[value]].add(index)
    return after


def _reads(node: ir.Node) -> Iterator[ir.Value]:
    """What a node takes, by name or from within its subgraphs."""
    yield from (v for v in node.inputs if v is not None)
    for attribute in node.attributes.values():
        graphs = (
            [attribute.as_graph()]
            if attribute.type == ir.AttributeType.GRAPH
            else attribute.as_graphs()
            if attribute.type == ir.AttributeType.GRAPHS
            else []
        )
        for graph in graphs:
            yield from graph.outputs
            for inner in ir.traversal.RecursiveGraphIterator(graph):
                yield from (v for v in inner.inputs if v is not None)
