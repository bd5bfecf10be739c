"""The shape of a graph as a graph: every value made once, before it is used, without a cycle.

What can be put right without changing what the model computes is put right and noted: nodes out of order are
sorted, nodes of the same name renamed. Everything here is iterative but for the nesting of subgraphs, which
protobuf itself bounds.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import onnx

from .errors import ModelError
from .protos import all_nodes, graphs_within, label, subgraphs

_Body: TypeAlias = onnx.GraphProto | onnx.FunctionProto
_REMEDY = "the file is damaged or was written by a faulty tool; export the model again"


def check_structure(model: onnx.ModelProto) -> tuple[str, ...]:
    """Check and, where that is harmless, repair the structure of every graph, in place.

    Args:
        model: The model.

    Returns:
        A note for each repair.

    Raises:
        ModelError: The graph is empty, or a value is made twice, never made, or depends on itself.
    """
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise ModelError("the model is empty: it has no graph", remedy="export or download it again")
    if model.training_info:
        raise ModelError(
            "the model carries training_info, which would be lost", remedy="export it for inference"
        )
    notes: list[str] = []
    loose = _arrange(model.graph, [v.name for v in model.graph.input], "the graph", notes)
    _refuse_loose(loose, "the graph")
    for function in model.functions:
        place = f"function {function.name!r}"
        _refuse_loose(_arrange(function, function.input, place, notes), place)
    return (*notes, *_rename_duplicates(model))


def _refuse_loose(loose: dict[str, str], place: str) -> None:
    for name, user in loose.items():
        raise ModelError(
            f"value {name[:80]!r} is not produced: {user} takes it and it dangles, nothing in {place} makes it",
            remedy=_REMEDY,
        )


def _arrange(body: _Body, inputs: Iterable[str], place: str, notes: list[str]) -> dict[str, str]:
    """Check one graph and those nested in it; return the names it takes from outside, with a user of each."""
    needs = [_needs(node, notes) for node in body.node]
    makers = _makers(body, list(inputs), place)
    if _is_unsorted(needs, makers):
        order = _sorted_order(body.node, needs, makers, place)
        nodes = [onnx.NodeProto.FromString(body.node[i].SerializeToString()) for i in order]
        del body.node[:]
        body.node.extend(nodes)
        notes.append(f"the nodes of {place} were out of order and were sorted")
    loose = {name: user for need in needs for name, user in need.items() if name not in makers}
    for value in body.output:
        name = value if isinstance(value, str) else value.name
        if name not in makers:
            loose.setdefault(name, f"the output list of {place}")
    return loose


def _needs(node: onnx.NodeProto, notes: list[str]) -> dict[str, str]:
    """The values a node depends on, those that its subgraphs take from outside included."""
    needs = {name: label(node) for name in node.input if name}
    for graph in subgraphs(node):
        place = f"subgraph {graph.name[:80]!r} of {label(node)}"
        needs |= _arrange(graph, [v.name for v in graph.input], place, notes)
    return needs


def _makers(body: _Body, inputs: Sequence[str], place: str) -> dict[str, int]:
    """The node that makes each value; -1 for inputs and initializers."""
    makers: dict[str, int] = {}
    for name in inputs:
        if name in makers:
            raise ModelError(f"input {name[:80]!r} of {place} is declared twice", remedy=_REMEDY)
        makers[name] = -1
    stored: set[str] = set()
    for tensor in body.initializer if isinstance(body, onnx.GraphProto) else ():
        if tensor.name in stored or not tensor.name:
            raise ModelError(
                f"initializer {tensor.name[:80]!r} of {place} is there twice, or unnamed", remedy=_REMEDY
            )
        stored.add(tensor.name)
    makers |= dict.fromkeys(stored, -1)
    for index, node in enumerate(body.node):
        for name in node.output:
            if name and name in makers:
                raise ModelError(f"value {name[:80]!r} of {place} is made twice (not SSA)", remedy=_REMEDY)
            makers[name] = index
    makers.pop("", None)
    return makers


def _is_unsorted(needs: Sequence[Mapping[str, str]], makers: dict[str, int]) -> bool:
    return any(makers.get(name, -1) >= index for index, names in enumerate(needs) for name in names)


def _sorted_order(
    nodes: Sequence[onnx.NodeProto], needs: Sequence[Mapping[str, str]], makers: dict[str, int], place: str
) -> list[int]:
    """Kahn's algorithm, keeping the given order where it can."""
    before = [{makers[name] for name in names if makers.get(name, -1) >= 0} for names in needs]
    after: list[list[int]] = [[] for _ in needs]
    for index, sources in enumerate(before):
        for source in sources:
            after[source].append(index)
    waiting = [len(sources) for sources in before]
    ready = [index for index, count in enumerate(waiting) if not count]
    order: list[int] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for user in after[index]:
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, user)
    if len(order) < len(before):
        _refuse_cycle(nodes, before, set(order), place)
    return order


def _refuse_cycle(
    nodes: Sequence[onnx.NodeProto], before: Sequence[set[int]], done: set[int], place: str
) -> None:
    """Walk back from any node that never became ready until one is met again."""
    current = next(i for i in range(len(before)) if i not in done)
    seen: dict[int, None] = {}
    while current not in seen:
        seen[current] = None
        current = min(i for i in before[current] if i not in done)
    cycle = list(seen)[list(seen).index(current) :][::-1]
    shown = " -> ".join(label(nodes[i])[:80] for i in (*cycle[:6], cycle[0]))
    raise ModelError(f"{place} has a cycle: {shown}", remedy=_REMEDY)


def _rename_duplicates(model: onnx.ModelProto) -> tuple[str, ...]:
    """Give nodes that share a name names of their own; unnamed nodes stay unnamed."""
    taken = {node.name for node in all_nodes(model)}
    scopes = [[node for graph in _main_graphs(model) for node in graph.node]]
    scopes += [
        [*function.node, *(n for g in graphs_within(function.node) for n in g.node)]
        for function in model.functions
    ]
    renamed = 0
    for nodes in scopes:
        seen: set[str] = set()
        last: dict[str, int] = {}
        for node in nodes:
            if node.name and node.name in seen:
                node.name = _fresh(node.name, taken, last)
                renamed += 1
            seen.add(node.name)
    return (f"{renamed} nodes shared a name with another and were renamed",) if renamed else ()


def _main_graphs(model: onnx.ModelProto) -> list[onnx.GraphProto]:
    return [model.graph, *graphs_within(model.graph.node)]


def _fresh(name: str, taken: set[str], last: dict[str, int]) -> str:
    number = last.get(name, 0)
    candidate = name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    last[name] = number
    taken.add(candidate)
    return candidate
