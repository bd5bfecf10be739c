"""The choice of which nodes become integer, as a minimum cut.

Every node is on the integer or on the float side. A node that gains from integers pays its gain when it is
float; one that loses pays its loss when it is integer; a value that passes from one side to the other pays a
conversion, once for all its users. The cheapest choice is a minimum cut of a graph with two nodes for each
value (D. Greig, B. Porteous and A. Seheult, 1989, for the construction), found exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

_NEVER = 2**30
_TOTAL = 2**29


@dataclass(frozen=True)
class Junction:
    """A value between nodes.

    Attributes:
        producer: Index of the node that makes it, or None for a graph input.
        consumers: Indices of the nodes that read it; None among them is a reader that is always float.
        quantize_ns: Cost of its conversion to integers.
        dequantize_ns: Cost of its conversion back.
    """

    producer: int | None
    consumers: tuple[int | None, ...]
    quantize_ns: float
    dequantize_ns: float


def integer_side(
    gains_ns: Sequence[float | None],
    junctions: Sequence[Junction],
    implications: Sequence[tuple[int, int | None]] = (),
) -> list[bool]:
    """Choose the nodes to run in integers.

    Args:
        gains_ns: For each node, what it gains in integers; None where it cannot be integer.
        junctions: The values between them.
        implications: Pairs ``(a, b)`` where ``a`` may be integer only if ``b`` is; never, if ``b`` is None.

    Returns:
        For each node, whether it is integer.
    """
    source, sink = len(gains_ns), len(gains_ns) + 1
    edges: list[tuple[int, int, float]] = []
    for node, gain in enumerate(gains_ns):
        if gain is None:
            edges.append((node, sink, np.inf))
        elif gain > 0:
            edges.append((source, node, gain))
        elif gain < 0:
            edges.append((node, sink, -gain))
    edges += [(a, sink if b is None else b, np.inf) for a, b in implications]
    extra = sink + 1
    for junction in junctions:
        producer = sink if junction.producer is None else junction.producer
        readers = [sink if c is None else c for c in junction.consumers]
        if producer == sink and all(r == sink for r in readers):
            continue
        quantized, restored = extra, extra + 1
        extra += 2
        edges += [(r, quantized, np.inf) for r in readers if r != sink]
        edges.append((quantized, producer, junction.quantize_ns))
        if producer != sink:
            edges.append((producer, restored, junction.dequantize_ns))
            edges += [(restored, r, np.inf) for r in readers]
    return _reachable(edges, extra, source, sink)[: len(gains_ns)]


def _reachable(edges: list[tuple[int, int, float]], size: int, source: int, sink: int) -> list[bool]:
    """The nodes on the source's side of the minimum cut."""
    unit = max(sum(cost for *_, cost in edges if np.isfinite(cost)), 1e-12) / _TOTAL
    capacities: dict[tuple[int, int], int] = {}
    for start, end, cost in edges:  # all finite ones together stay below a forbidden one, and below 32 bits
        units = _NEVER if not np.isfinite(cost) else round(cost / unit)
        capacities[start, end] = min(capacities.get((start, end), 0) + units, _NEVER)
    rows, columns = zip(*capacities, strict=True)
    values = np.fromiter(capacities.values(), np.int32, len(capacities))
    graph = csr_array((values, (rows, columns)), shape=(size, size))
    flow = maximum_flow(graph, source, sink).flow
    residual = csr_array(graph - flow)
    residual.data[residual.data < 0] = 0
    residual.eliminate_zeros()
    reached = breadth_first_order(residual, source, return_predecessors=False)
    inside = np.zeros(size, bool)
    inside[reached] = True
    return [bool(i) for i in inside]
