"""Sizes that a graph computes for itself, folded as far as they are known.

Exporters write ``Shape → Gather → Div → Concat → Reshape`` where every number but the batch is fixed. Each element of
such a vector is followed on its own: an integer, the name of a free dimension, or unknown. What comes out whole
becomes a constant; a Reshape or Expand by a vector that is known but for free dimensions gets 0, -1 or 1 in their
places, which mean the same.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ..core.shapes import refine_node_shapes
from .constants import add_constant
from .folding import constant

Element: TypeAlias = int | float | bool | str | None
"""A number, the name of a free dimension, or unknown."""

Vector: TypeAlias = npt.NDArray[np.object_]
"""Elements of a vector or a scalar."""

_LONGEST = 64
"""Vectors with more elements are not shapes."""

_NUMERIC = {
    ir.DataType.INT64,
    ir.DataType.INT32,
    ir.DataType.FLOAT,
    ir.DataType.DOUBLE,
    ir.DataType.BOOL,
}


def fold_shape_values(model: ir.Model) -> int:
    """Replace computed sizes by constants, in the main graph.

    Args:
        model: Shapes inferred, constants lifted to initializers, nodes sorted; changed in place. Nodes that nobody
            reads any more stay for a later pass.

    Returns:
        How many inputs of nodes became constants.
    """
    known: dict[ir.Value, Vector] = {}
    sharper: set[ir.Value] = set()
    folded = 0
    for node in list(model.graph):
        whole = [v is not None and _replace_whole(node, i, v, known) for i, v in enumerate(node.inputs)]
        changed = sum(whole) + _resolve_free(node, known)
        if changed or any(v in sharper for v in node.inputs):
            sharper |= set(node.outputs) if refine_node_shapes(node, model.graph.opset_imports) else set()
        vector = _follow(node, known)
        if vector is not None and vector.size <= _LONGEST:
            known[node.outputs[0]] = vector
        folded += changed
    return folded


def write_scalars(model: ir.Model) -> None:
    """Make scalars of the constants that a Range reads.

    Runtimes take vectors of one element for them, and models rely on it (the standard's own AffineGrid, written out).
    Strict inference refuses them once they are constant.

    Args:
        model: Changed in place.
    """
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.op_type != "Range" or node.domain not in {"", "ai.onnx"}:
            continue
        for index, value in enumerate(node.inputs):
            array = constant(value)
            if value is not None and array is not None and array.ndim and array.size == 1:
                content = array.reshape(())
                node.replace_input_with(index, add_constant(model.graph, f"{value.name}_scalar", content))


def _replace_whole(node: ir.Node, index: int, value: ir.Value, known: Mapping[ir.Value, Vector]) -> bool:
    """Let a node read a constant instead of a value that is wholly known."""
    vector = known.get(value)
    if vector is None or not all(isinstance(x, (int, float)) for x in vector.ravel()):
        return False
    if value.dtype not in _NUMERIC or value.producer() is None:
        return False
    _put(node, index, vector.astype(value.dtype.numpy()))
    return True


def _resolve_free(node: ir.Node, known: Mapping[ir.Value, Vector]) -> bool:
    """Write a Reshape's or Expand's shape as a constant where only free dimensions are open in it."""
    shape = node.inputs[1] if node.op_type in {"Reshape", "Expand"} and len(node.inputs) > 1 else None
    vector = known.get(shape) if shape is not None else None
    source = node.inputs[0] if node.inputs else None
    if vector is None or vector.ndim != 1 or source is None or source.shape is None:
        return False
    dims = [d if isinstance(d, int) else d.value for d in source.shape]
    fresh = _reshape_sizes(vector, dims) if node.op_type == "Reshape" else _expand_sizes(vector, dims)
    if fresh is None or node.attributes.get_int("allowzero", 0) == 1:
        return False
    _put(node, 1, np.asarray(fresh, np.int64))
    return True


def _reshape_sizes(vector: Vector, dims: Sequence[int | str | None]) -> list[int] | None:
    """0 keeps the input's size at the same place; -1 is what is left over."""
    fresh = [
        0 if isinstance(x, str) and axis < len(dims) and dims[axis] == x else x
        for axis, x in enumerate(vector)
    ]
    open_places = [i for i, x in enumerate(fresh) if not isinstance(x, int)]
    if len(open_places) > 1 or (open_places and -1 in fresh):
        return None
    return [x if isinstance(x, int) else -1 for x in fresh]


def _expand_sizes(vector: Vector, dims: Sequence[int | str | None]) -> list[int] | None:
    """1 keeps the input's size."""
    shift = len(vector) - len(dims)
    fresh = [
        1 if isinstance(x, str) and axis >= shift and dims[axis - shift] == x else x
        for axis, x in enumerate(vector)
    ]
    return None if any(not isinstance(x, int) for x in fresh) else [int(x) for x in fresh]


def _put(node: ir.Node, index: int, array: npt.NDArray[np.generic]) -> None:
    graph = node.graph
    if not isinstance(graph, ir.Graph):
        raise TypeError("only nodes of the main graph are folded")
    node.replace_input_with(index, add_constant(graph, f"{node.outputs[0].name}_size{index}", array))


def _follow(node: ir.Node, known: Mapping[ir.Value, Vector]) -> Vector | None:
    """The vector that a node makes, element by element; None where it is none, or nothing is known of it."""
    rule = _RULES.get(node.op_type) if node.domain in {"", "ai.onnx"} else None
    if rule is None or len(node.outputs) != 1:
        return None
    if node.op_type == "Shape":
        return _shape(node, [])
    inputs = [_read(v, known) for v in node.inputs if v is not None]
    needed = inputs[:1] if node.op_type in {"Cast", "ConstantOfShape"} else inputs
    if not needed or any(v is None for v in needed):
        return None
    return rule(node, [v for v in inputs if v is not None])


def _read(value: ir.Value, known: Mapping[ir.Value, Vector]) -> Vector | None:
    if value in known:
        return known[value]
    array = constant(value)
    if array is None or array.size > _LONGEST or array.ndim > 1 or value.dtype not in _NUMERIC:
        return None
    return array.astype(object)


def _shape(node: ir.Node, inputs: list[Vector]) -> Vector | None:
    source = node.inputs[0]
    if source is None or source.shape is None:
        return None
    dims: list[Element] = [(d if d >= 0 else None) if isinstance(d, int) else d.value for d in source.shape]
    end = node.attributes.get_int("end", len(dims))
    return _vector(dims[node.attributes.get_int("start", 0) : end])


def _gather(node: ir.Node, inputs: list[Vector]) -> Vector | None:
    data, indices = inputs
    if data.ndim != 1 or not _all_integers(indices) or node.attributes.get_int("axis", 0) not in {0, -1}:
        return None
    return np.asarray(data[indices.astype(np.int64)], dtype=object)


def _slice(node: ir.Node, inputs: list[Vector]) -> Vector | None:
    if "starts" in node.attributes:  # attributes before opset 10
        starts, ends = (_vector(node.attributes[name].as_ints()) for name in ("starts", "ends"))
        data, step = inputs[0], np.ones(1, dtype=object)
    else:
        data, starts, ends, *rest = inputs
        step = rest[1] if len(rest) > 1 else np.ones(1, dtype=object)
    if data.ndim != 1 or not all(v.size == 1 and _all_integers(v) for v in (starts, ends, step)):
        return None
    return data[slice(int(starts.item()), int(ends.item()), int(step.item()))]


def _concat(node: ir.Node, inputs: list[Vector]) -> Vector | None:
    return np.concatenate(inputs) if all(v.ndim == 1 for v in inputs) else None


def _flatten_like(node: ir.Node, inputs: list[Vector]) -> Vector | None:
    """Squeeze, Unsqueeze and Reshape between a scalar and a vector of one element."""
    shape = node.outputs[0].shape
    data = inputs[0]
    if shape is None or shape.rank() > 1:
        return None
    return data.reshape(()) if shape.rank() == 0 and data.size == 1 else data.reshape(-1)


def _cast(node: ir.Node, inputs: list[Vector]) -> Vector | None:
    kind = ir.DataType(node.attributes.get_int("to", 0))
    if kind not in _NUMERIC:
        return None
    convert: Callable[[float], Element] = (
        float if kind.is_floating_point() else bool if kind == ir.DataType.BOOL else int
    )
    return _each(lambda x: convert(x) if isinstance(x, (int, float)) else x, inputs[0])


def _constant_of_shape(node: ir.Node, inputs: list[Vector]) -> Vector | None:
    if inputs[0].shape != (1,) or not _all_integers(inputs[0]) or not 0 <= inputs[0].item() <= _LONGEST:
        return None
    filled = node.attributes.get("value")
    fill = filled.as_tensor().numpy().item() if filled is not None else 0.0
    return np.full(int(inputs[0].item()), fill, dtype=object)


def _where(node: ir.Node, inputs: list[Vector]) -> Vector | None:
    condition, yes, no = np.broadcast_arrays(*inputs)
    chosen = [
        (a if c else b) if isinstance(c, bool) else None
        for c, a, b in zip(condition.ravel(), yes.ravel(), no.ravel(), strict=True)
    ]
    return _vector(chosen).reshape(condition.shape)


def _arithmetic(node: ir.Node, inputs: list[Vector]) -> Vector | None:
    function = _FUNCTIONS[node.op_type]
    first, second = np.broadcast_arrays(*inputs)
    pairs = zip(first.ravel(), second.ravel(), strict=True)
    made = [function(a, b) if _are_numbers(a, b) else _with_name(node.op_type, a, b) for a, b in pairs]
    return _vector(made).reshape(first.shape)


def _with_name(kind: str, first: Element, second: Element) -> Element:
    """A free dimension times one, plus nothing, is itself; and it is never a negative number."""
    if kind == "Equal":
        numbers = [x for x in (first, second) if isinstance(x, (int, float))]
        return False if len(numbers) == 1 and numbers[0] < 0 else None
    neutral = {"Mul": 1, "Div": 1, "Add": 0, "Sub": 0}.get(kind)
    if second == neutral and isinstance(first, str):
        return first
    return second if first == neutral and kind in {"Mul", "Add"} and isinstance(second, str) else None


def _divide(first: float, second: float) -> Element:
    if second == 0:
        return None
    if isinstance(first, int) and isinstance(second, int):
        quotient = abs(first) // abs(second)  # towards zero, as ONNX divides integers
        return quotient if (first < 0) == (second < 0) else -quotient
    return first / second


_FUNCTIONS: dict[str, Callable[[float, float], Element]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": _divide,
    "Equal": operator.eq,
}


def _are_numbers(*values: Element) -> bool:
    return all(isinstance(x, (int, float)) for x in values)


def _all_integers(vector: Vector) -> bool:
    return all(isinstance(x, int) for x in vector.ravel())


def _each(function: Callable[[Element], Element], vector: Vector) -> Vector:
    return _vector([function(x) for x in vector.ravel()]).reshape(vector.shape)


def _vector(elements: Sequence[Element]) -> Vector:
    result = np.empty(len(elements), dtype=object)
    result[:] = elements
    return result


_RULES: dict[str, Callable[[ir.Node, list[Vector]], Vector | None]] = {
    **dict.fromkeys(_FUNCTIONS, _arithmetic),
    **dict.fromkeys(("Squeeze", "Unsqueeze", "Reshape"), _flatten_like),
    "Cast": _cast,
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Gather": _gather,
    "Shape": _shape,
    "Slice": _slice,
    "Where": _where,
}
