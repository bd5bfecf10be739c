"""Model-local functions: no recursion, and a bound on what they expand to, before anything expands them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypeAlias

import onnx

from .errors import ModelError
from .limits import Limits, refuse_above
from .protos import DEFAULT_DOMAINS, graphs_within

Key: TypeAlias = tuple[str, str, str]
"""What tells a function from another: domain, name, overload."""


def key_of(node: onnx.NodeProto) -> Key:
    """The function that a node would call."""
    return _key(node.domain, node.op_type, node.overload)


def functions_by_key(model: onnx.ModelProto) -> dict[Key, onnx.FunctionProto]:
    """The model's functions.

    Raises:
        ModelError: Two functions have the same name.
    """
    found: dict[Key, onnx.FunctionProto] = {}
    for function in model.functions:
        key = _key(function.domain, function.name, function.overload)
        if key in found:
            raise ModelError(f"function {_text(key)} is defined twice", remedy="export the model again")
        found[key] = function
    return found


def check_functions(model: onnx.ModelProto, limits: Limits) -> int:
    """Count the nodes that remain once every function call is replaced by the function's nodes.

    Exact integer arithmetic over the graph of calls: nothing is expanded.

    Args:
        model: The model.
        limits: The most nodes, and the longest chain of calls.

    Returns:
        The number of nodes, subgraphs included.

    Raises:
        ModelError: A function calls itself, directly or through others.
        LimitError: The count, or a chain of calls, is above its limit.
    """
    functions = functions_by_key(model)
    bodies = {key: _operators(function.node) for key, function in functions.items()}
    size: dict[Key, int] = {}
    depth: dict[Key, int] = {}
    for key in _callees_first(bodies):
        size[key] = sum(count * size.get(op, 1) for op, count in bodies[key].items())
        depth[key] = 1 + max((depth.get(op, 0) for op in bodies[key]), default=0)
    main = _operators(model.graph.node)
    nodes = sum(count * size.get(op, 1) for op, count in main.items())
    refuse_above(
        max(nodes, max(size.values(), default=0)), limits.nodes, "nodes with functions expanded", "nodes"
    )
    refuse_above(
        max(depth.values(), default=0), limits.function_depth, "depth of functions", "function_depth"
    )
    return nodes


def _key(domain: str, name: str, overload: str) -> Key:
    return "" if domain in DEFAULT_DOMAINS else domain, name, overload


def _text(key: Key) -> str:
    return f"{key[0]}::{key[1]}" + (f":{key[2]}" if key[2] else "")


def _operators(nodes: Iterable[onnx.NodeProto]) -> Counter[Key]:
    """How often each operator or function occurs, subgraphs included."""
    listed = list(nodes)
    inner = (node for graph in graphs_within(listed) for node in graph.node)
    return Counter(key_of(node) for source in (listed, inner) for node in source)


def _callees_first(bodies: dict[Key, Counter[Key]]) -> list[Key]:
    """Order the functions so that each comes after those it calls; iterative depth-first search."""
    order: list[Key] = []
    done: set[Key] = set()
    for root, operators in bodies.items():
        path: dict[Key, list[Key]] = {}
        if root not in done:
            path[root] = [op for op in operators if op in bodies]
        while path:
            current = next(reversed(path))
            pending = path[current]
            if not pending:
                del path[current]
                done.add(current)
                order.append(current)
                continue
            callee = pending.pop()
            if callee in path:
                _refuse_recursion([*list(path)[list(path).index(callee) :], callee])
            if callee not in done:
                path[callee] = [op for op in bodies[callee] if op in bodies]
    return order


def _refuse_recursion(cycle: list[Key]) -> None:
    shown = " -> ".join(_text(key) for key in cycle[:8])
    raise ModelError(f"functions call themselves: {shown}", remedy="export the model again without recursion")
