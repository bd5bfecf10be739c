"""Following the channels of a layer to the one layer that reads them, past what a positive factor passes through.

A function is positively homogeneous where ``f(s x) = s f(x)`` for every ``s > 0``. Relu, means and maxima are, so a
factor on a channel before them can be taken back by the weights behind them; a Clip at 6 is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...core.reports import Skip
from ..folding import constant
from .absorption import clip_limits
from .linear_nodes import in_blocks, is_linear, own_constant

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Path:
    """Channels on their way from a layer.

    Attributes:
        first: The layer that makes them.
        value: The value that holds them now.
        axis: Its axis along which they lie.
        channels: For each index of that axis, which channel it belongs to.
        shifts: Constants that were added on the way, each with its axis and its channels.
        second: The layer that reads them; the first one until it is found.
    """

    first: ir.Node
    value: ir.Value
    axis: int
    channels: Index
    shifts: tuple[tuple[ir.Value, int, Index], ...] = ()
    second: ir.Node | None = None


Step = Callable[[ir.Node, Path], "Path | str"]


def follow(first: ir.Node) -> Path | Skip:
    """The way from a layer to the one that reads its channels, or what stands between.

    Args:
        first: A convolution or matrix product.
    """
    found = _start(first)
    while isinstance(found, Path) and found.second is None:
        found = _next(found)
    return found if isinstance(found, Path) else Skip(first.name or "", None, "no-pair", found)


def _start(first: ir.Node) -> Path | str:
    weight = own_constant(first.inputs[1])
    output = first.outputs[0]
    if weight is None or (first.op_type != "Conv" and weight.ndim != 2):
        return f"the weight of {first.name!r} is shared, not float32, or not a matrix"
    blocks = in_blocks(first, weight)
    channels = blocks.shape[0] * blocks.shape[1]
    bias = first.inputs[2] if len(first.inputs) > 2 else None
    array = own_constant(bias)
    if bias is not None and (array is None or array.size != channels or max(array.shape) != channels):
        return f"the bias of {first.name!r} is shared, or not one number for each channel"
    if output.shape is None:
        return f"the shape of {output.name!r} is not known"
    axis = 1 if first.op_type == "Conv" else len(output.shape) - 1
    return Path(first, output, axis, np.arange(channels))


def _next(path: Path) -> Path | str:
    value, uses = path.value, list(path.value.uses())
    if value.is_graph_output() or len(uses) != 1:
        return f"{value.name!r} has {len(uses) + value.is_graph_output()} readers"
    node, index = uses[0].node, uses[0].idx
    if node.graph is not path.first.graph:
        return f"{value.name!r} is read inside a body"
    if is_linear(node) and index == 0:
        return _arrive(node, path)
    step = _STEPS.get(node.op_type) if node.domain in {"", "ai.onnx"} else None
    data_index = 0 if node.op_type != "Add" else index
    if step is None or index != data_index or any(v.uses() for v in node.outputs[1:]):
        return f"{node.op_type} {node.name!r} does not pass factors on"
    if value.shape is None or node.outputs[0].shape is None:
        return f"the shape of {(value if value.shape is None else node.outputs[0]).name!r} is not known"
    return step(node, path)


def _arrive(node: ir.Node, path: Path) -> Path | str:
    weight = own_constant(node.inputs[1])
    if weight is None or (node.op_type != "Conv" and weight.ndim != 2):
        return f"the weight of {node.name!r} is shared, not float32, or not a matrix"
    if node.op_type == "Gemm" and node.attributes.get_int("transA", 0) == 1:
        return f"Gemm {node.name!r} transposes what it reads"
    blocks = in_blocks(node, weight)
    axis = 1 if node.op_type == "Conv" else len(path.value.shape or ()) - 1
    if path.axis != axis or blocks.shape[0] * blocks.shape[2] != len(path.channels):
        return f"{node.op_type} {node.name!r} reads another axis than the channels'"
    return replace(path, second=node)


def _unchanged(node: ir.Node, path: Path) -> Path | str:
    return replace(path, value=node.outputs[0])


def _clip(node: ir.Node, path: Path) -> Path | str:
    limits = clip_limits(node)
    if limits is None or limits[1] != math.inf:
        return f"Clip {node.name!r} has limits that a factor would move" + (
            f" ({limits[0]:g}, {limits[1]:g})" if limits else ""
        )
    return _unchanged(node, path)


def _pool(node: ir.Node, path: Path) -> Path | str:
    if path.axis != 1:
        return f"{node.op_type} {node.name!r} pools over the channels"
    return _unchanged(node, path)


def _joined(node: ir.Node, path: Path) -> Path | str:
    """Flatten, Reshape and Squeeze to two axes keep the channels apart, each in a stretch of its own."""
    before, after = path.value.shape, node.outputs[0].shape
    assert before is not None
    assert after is not None
    rest = [d for d in before[2:] if isinstance(d, int)]
    width = len(path.channels) * math.prod(rest)
    if path.axis != 1 or len(rest) != len(before) - 2 or len(after) != 2 or after[1] != width:
        return f"{node.op_type} {node.name!r} does not keep the channels apart"
    return replace(path, value=node.outputs[0], channels=np.repeat(path.channels, math.prod(rest)))


def _mean(node: ir.Node, path: Path) -> Path | str:
    rank = len(path.value.shape or ())
    given = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    axes = node.attributes.get_ints("axes") if given is None else [int(a) for a in given]
    if not axes:
        return f"{node.op_type} {node.name!r} has axes that are not constant, or takes all"
    gone = {a % rank for a in axes}
    if path.axis in gone:
        return f"{node.op_type} {node.name!r} takes the channels together"
    before = 0 if node.attributes.get_int("keepdims", 1) else sum(a < path.axis for a in gone)
    return replace(path, value=node.outputs[0], axis=path.axis - before)


def _transpose(node: ir.Node, path: Path) -> Path | str:
    rank = len(path.value.shape or ())
    order = node.attributes.get_ints("perm") or range(rank)[::-1]
    return replace(path, value=node.outputs[0], axis=list(order).index(path.axis))


def _add(node: ir.Node, path: Path) -> Path | str:
    """A constant for each channel is a bias, and takes the factors too."""
    value = node.inputs[1 if node.inputs[0] is path.value else 0]
    array, rank = own_constant(value), len(path.value.shape or ())
    if value is None or array is None or array.ndim > rank:
        return f"Add {node.name!r} adds no constant of its own"
    axis = path.axis - (rank - array.ndim)
    if axis < 0 or array.shape[axis] != len(path.channels) or array.size != len(path.channels):
        return f"Add {node.name!r} adds a constant that is not one number for each channel"
    return replace(path, value=node.outputs[0], shifts=(*path.shifts, (value, axis, path.channels)))


_STEPS: dict[str, Step] = {
    "Relu": _unchanged,
    "LeakyRelu": _unchanged,
    "PRelu": _unchanged,
    "Identity": _unchanged,
    "Clip": _clip,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _pool,
    "GlobalMaxPool": _pool,
    "Flatten": _joined,
    "Reshape": _joined,
    "Squeeze": _joined,
    "ReduceMean": _mean,
    "Transpose": _transpose,
    "Add": _add,
}
"""Operators that hand a positive factor on, and what becomes of the channels."""
