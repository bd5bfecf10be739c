"""What states a size, and must say another after a cut: one function for each operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ..constants import add_constant

Mask = npt.NDArray[np.bool_]


class Masks(Protocol):
    """Which indices of an axis stay."""

    def mask(self, value: ir.Value, axis: int) -> Mask | None:
        """Which indices of an axis stay; None where none goes."""
        ...

    def axes(self, value: ir.Value) -> dict[int, Mask]:
        """The mask of every axis that loses indices."""
        ...


def _conv(node: ir.Node, kept: Masks) -> None:
    """``group`` counts the groups that stay; where lanes inside groups go it stays as it is."""
    groups = node.attributes.get_int("group", 1)
    source = node.inputs[0]
    mask = kept.mask(source, 1) if source is not None else None
    if groups == 1 or mask is None:
        return
    blocks = mask.reshape(groups, -1)
    whole = blocks.all(axis=1)
    if (whole | ~blocks.any(axis=1)).all():
        node.attributes["group"] = ir.AttrInt64("group", int(whole.sum()))


def _reshape(node: ir.Node, kept: Masks) -> None:
    """Literal sizes of axes that lost indices; 0 and -1 find their size by themselves."""
    _rewrite_sizes(node, kept, index=1)


def _rewrite_sizes(node: ir.Node, kept: Masks, index: int) -> None:
    masks = kept.axes(node.outputs[0])
    sizes = _constant(node, index)
    if not masks or sizes is None:
        return
    fresh = sizes.copy()
    shift = _rank(node.outputs[0]) - len(sizes)
    for axis, mask in masks.items():
        if sizes[axis - shift] > 1:
            fresh[axis - shift] = int(mask.sum())
    _replace(node, index, fresh)


def _split(node: ir.Node, kept: Masks) -> None:
    """Sizes become explicit where an output lost indices; ``num_outputs`` would divide evenly."""
    axis = node.attributes.get_int("axis", 0)
    if not any(kept.axes(v) for v in node.outputs):
        return
    masks = [kept.mask(v, axis % _rank(v)) for v in node.outputs]
    if all(mask is None for mask in masks):
        return
    given = _constant(node, 1) if len(node.inputs) > 1 else None
    if given is None and "split" in node.attributes:
        given = np.asarray(node.attributes["split"].as_ints())
    if given is None:
        given = np.asarray([_size(v, axis % _rank(v)) for v in node.outputs])
    fresh = np.asarray(
        [int(m.sum()) if m is not None else s for m, s in zip(masks, given, strict=True)], np.int64
    )
    if "split" in node.attributes:
        node.attributes["split"] = ir.AttrInt64s("split", fresh.tolist())
        return
    node.attributes.pop("num_outputs", None)
    if len(node.inputs) < 2:
        node.resize_inputs(2)
    _replace(node, 1, fresh)


def _slice(node: ir.Node, kept: Masks) -> None:
    """Starts and ends count the indices that stay before them."""
    source = node.inputs[0]
    masks = kept.axes(source) if source is not None else {}
    if not masks or source is None:
        return
    attributes = "starts" in node.attributes
    starts, ends, axes = _slice_parts(node)
    rank = _rank(source)
    for position, axis in enumerate(axes):
        mask = masks.get(int(axis) % rank)
        if mask is not None:
            span = slice(int(starts[position]), int(ends[position])).indices(len(mask))
            starts[position], ends[position] = int(mask[: span[0]].sum()), int(mask[: span[1]].sum())
    if attributes:
        node.attributes["starts"] = ir.AttrInt64s("starts", starts.tolist())
        node.attributes["ends"] = ir.AttrInt64s("ends", ends.tolist())
    else:
        _replace(node, 1, starts)
        _replace(node, 2, ends)


def _slice_parts(node: ir.Node) -> tuple[npt.NDArray[np.int64], ...]:
    if "starts" in node.attributes:
        starts, ends = (np.asarray(node.attributes[k].as_ints(), np.int64) for k in ("starts", "ends"))
        given = node.attributes.get("axes")
        listed = list(range(len(starts))) if given is None else list(given.as_ints())
        return starts, ends, np.asarray(listed, np.int64)
    parts = [_constant(node, index) if index < len(node.inputs) else None for index in (1, 2, 3)]
    starts, ends = (np.array(p, np.int64) for p in parts[:2])
    axes = np.arange(len(starts)) if parts[2] is None else np.array(parts[2], np.int64)
    return starts, ends, axes


def _gather(node: ir.Node, kept: Masks) -> None:
    """Indices point to where their element moved; those of elements that went, go with the initializer's axis."""
    source, indices = node.inputs[0], node.inputs[1]
    axis = node.attributes.get_int("axis", 0)
    mask = kept.mask(source, axis % _rank(source)) if source is not None else None
    content = _constant(node, 1)
    if mask is None or content is None or indices is None:
        return
    moved = np.cumsum(mask) - 1
    fresh = moved[content % len(mask)]
    # The initializer itself loses the entries of cut elements afterwards, by its own axis.
    indices.const_value = ir.tensor(fresh.astype(content.dtype), name=indices.name)


def _expand(node: ir.Node, kept: Masks) -> None:
    """Literal sizes are written anew; in a shape that is computed, 1 keeps what the input has."""
    masks = kept.axes(node.outputs[0])
    shape = node.inputs[1]
    if _constant(node, 1) is not None or not masks or shape is None:
        _rewrite_sizes(node, kept, index=1)
        return
    rank = _rank(node.outputs[0])
    length = _size(shape, 0) or rank
    lost = np.asarray([axis in masks for axis in range(rank - length, rank)])
    where = ir.node("Where", [shape, shape, shape], name=f"{node.name}_kept_sizes")
    where.outputs[0].name = f"{node.outputs[0].name}_kept_sizes"
    where.outputs[0].dtype, where.outputs[0].shape = ir.DataType.INT64, ir.Shape([length])
    _graph_of(node).insert_before(node, where)
    node.replace_input_with(1, where.outputs[0])
    _replace(where, 0, lost)
    _replace(where, 1, np.ones(1, np.int64))


def _recurrent(node: ir.Node, kept: Masks) -> None:
    """``hidden_size`` counts the units that stay."""
    recurrence = node.inputs[2]
    mask = kept.mask(recurrence, 2) if recurrence is not None else None
    if mask is not None:
        node.attributes["hidden_size"] = ir.AttrInt64("hidden_size", int(mask.sum()))


def _attention(node: ir.Node, kept: Masks) -> None:
    """The number of heads, and of lanes where they are stated, count what stays."""
    name = "num_heads" if "num_heads" in node.attributes else "q_num_heads"
    heads = node.attributes.get_int(name, 0)
    mask = kept.mask(node.outputs[0], _rank(node.outputs[0]) - 1)
    if mask is None or not heads:
        return
    left = int(mask.reshape(heads, -1).any(1).sum())
    for attribute in ("num_heads", "q_num_heads", "kv_num_heads"):
        if attribute in node.attributes:
            node.attributes[attribute] = ir.AttrInt64(attribute, left)
    if "qkv_hidden_sizes" in node.attributes:
        sizes = [size * left // heads for size in node.attributes["qkv_hidden_sizes"].as_ints()]
        node.attributes["qkv_hidden_sizes"] = ir.AttrInt64s("qkv_hidden_sizes", sizes)


def _resize(node: ir.Node, kept: Masks) -> None:
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        _rewrite_sizes(node, kept, index=3)


def _constant(node: ir.Node, index: int) -> npt.NDArray[np.int64] | None:
    value = node.inputs[index] if index < len(node.inputs) else None
    tensor = ir.convenience.get_const_tensor(value) if value is not None else None
    return None if tensor is None else np.array(tensor.numpy())


def _graph_of(node: ir.Node) -> ir.Graph:
    if not isinstance(node.graph, ir.Graph):
        raise TypeError("nodes of functions are not cut: inline them first")
    return node.graph


def _replace(node: ir.Node, index: int, content: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> None:
    """Give the node a constant of its own: the old one may serve other nodes."""
    graph = _graph_of(node)
    stem = f"{node.outputs[0].name}.{('', 'size', 'end', 'sizes')[min(index, 3)]}"
    array = content if content.dtype == np.bool_ else content.astype(np.int64)
    old = node.inputs[index]
    node.replace_input_with(index, None)
    if old is not None:
        _drop_unused(old)
    # Behind that, so that a second cut finds the name free that the first one took.
    node.replace_input_with(index, add_constant(graph, stem, array))


def _drop_unused(value: ir.Value) -> None:
    """Take an initializer out that nothing reads any more: runtimes warn of it."""
    is_named = value.is_graph_input() or value.is_graph_output()
    if value.is_initializer() and not is_named and not value.uses() and value.graph is not None:
        value.graph.initializers.pop(value.name or "")


def _rank(value: ir.Value) -> int:
    if value.shape is not None:
        return len(value.shape)
    return len(value.const_value.shape) if value.const_value is not None else 0


def _size(value: ir.Value, axis: int) -> int:
    size = value.shape[axis] if value.shape is not None else 0
    return size if isinstance(size, int) else 0


REWRITES: dict[str, Callable[[ir.Node, Masks], None]] = {
    "Attention": _attention,
    "Conv": _conv,
    "ConvInteger": _conv,
    "ConvTranspose": _conv,
    "Expand": _expand,
    "GRU": _recurrent,
    "Gather": _gather,
    "LSTM": _recurrent,
    "MultiHeadAttention": _attention,
    "QLinearConv": _conv,
    "RNN": _recurrent,
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "Split": _split,
}
"""Operators that state a size."""
