"""Operators that join, split and pick indices."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter, FreezeError


def concat(node: ir.Node, e: Emitter, option: int) -> None:
    """On the joined axis each input holds a stretch of the output; the others are the same everywhere."""
    output = node.outputs[0]
    rank = len(e.dims(output))
    joined = node.attributes.get_int("axis", 0) % rank
    whole = e.ids(output, joined)
    start = 0
    for value in node.inputs:
        if value is None:
            raise FreezeError("malformed", "an input is missing")
        for axis in range(rank):
            if axis != joined:
                e.tie_axes(value, axis, output, axis)
        ids = e.ids(value, joined)
        if whole is None or ids is None:
            e.pin(ids, joined, "dynamic", "joined with a dynamic axis")
            e.pin(whole, joined, "dynamic", "holds a dynamic axis")
            continue
        e.tie(whole[start : start + len(ids)], ids)
        start += len(ids)


def split(node: ir.Node, e: Emitter, option: int) -> None:
    """On the split axis each output holds a stretch of the input."""
    source = e.need(0)
    rank = len(e.dims(source))
    cut = node.attributes.get_int("axis", 0) % rank
    if len(node.inputs) > 1:
        e.constant(1)  # sizes computed at run time freeze all
    whole = e.ids(source, cut)
    start = 0
    for value in node.outputs:
        for axis in range(rank):
            if axis != cut:
                e.tie_axes(source, axis, value, axis)
        ids = e.ids(value, cut)
        if whole is None or ids is None:
            raise FreezeError("dynamic", "the split axis is dynamic")
        e.tie(whole[start : start + len(ids)], ids)
        start += len(ids)


def slice_(node: ir.Node, e: Emitter, option: int) -> None:
    """On a sliced axis the output holds a selection of the input."""
    source, output = e.need(0), node.outputs[0]
    spans = slice_spans(node, e)
    for axis in range(len(e.dims(source))):
        if axis not in spans:
            e.tie_axes(source, axis, output, axis)
            continue
        ids = e.ids(source, axis)
        if ids is None:
            e.pin_axis(output, axis, "dynamic", "sliced from a dynamic axis")
        elif spans[axis].step != 1:
            e.pin(ids, axis, "stride", "sliced with a step")
            e.pin_axis(output, axis, "stride", "sliced with a step")
        else:
            e.tie(ids[spans[axis]], e.ids(output, axis))


def slice_spans(node: ir.Node, e: Emitter) -> dict[int, slice]:
    """The constant spans of a Slice by axis, ends clipped to the size; a dynamic axis keeps what is written.

    Raises:
        FreezeError: Starts, ends, axes or steps are computed at run time.
    """
    dims = e.dims(e.need(0))
    if "starts" in node.attributes:  # attributes before opset 10
        starts, ends = (list(node.attributes[k].as_ints()) for k in ("starts", "ends"))
        attribute = node.attributes.get("axes")
        axes = list(attribute.as_ints()) if attribute is not None else list(range(len(starts)))
        steps = [1] * len(starts)
    else:
        starts, ends = (list(_required(e, index)) for index in (1, 2))
        given, strides = e.constant(3), e.constant(4)
        axes = list(range(len(starts))) if given is None else [int(a) for a in given]
        steps = [1] * len(starts) if strides is None else [int(s) for s in strides]
    spans = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = dims[axis % len(dims)]
        span = slice(int(start), int(end), step)
        if isinstance(size, int) and step > 0:
            span = slice(*span.indices(size))
        spans[axis % len(dims)] = span
    return spans


def gather(node: ir.Node, e: Emitter, option: int) -> None:
    """Constant indices select; computed ones freeze the axis they read (an embedding's vocabulary)."""
    source, indices, output = e.need(0), e.need(1), node.outputs[0]
    rank, added = len(e.dims(source)), len(e.dims(indices)) - 1
    axis = node.attributes.get_int("axis", 0) % rank
    for other in range(rank):
        if other != axis:
            e.tie_axes(source, other, output, other if other < axis else other + added)
    tensor = ir.convenience.get_const_tensor(indices)
    ids = e.ids(source, axis)
    if tensor is None or tensor.numpy().ndim != 1 or ids is None:
        e.pin(ids, axis, "gathered", "read by indices that are computed, or by one that drops the axis")
        for offset in range(added + 1):
            e.pin_axis(output, axis + offset, "gathered", "shaped by the indices")
        return
    given = np.asarray(tensor.numpy(), dtype=np.int64)
    if ((given < -len(ids)) | (given >= len(ids))).any():
        raise FreezeError("malformed", "an index is out of range")
    chosen = np.where(given < 0, given + len(ids), given)
    e.tie(ids[chosen], e.ids(output, axis))
    if len(indices.uses()) == 1:
        e.tie(ids[chosen], e.ids(indices, 0))
    else:
        e.pin(ids, axis, "gathered", f"the indices {indices.name} serve several nodes")


def pad(node: ir.Node, e: Emitter, option: int) -> None:
    """An axis that is not padded keeps its ids."""
    source, output = e.need(0), node.outputs[0]
    rank = len(e.dims(source))
    attribute = node.attributes.get("pads")
    pads = np.asarray(attribute.as_ints()) if attribute is not None else e.constant(1)
    given = e.constant(3)
    axes = list(range(rank)) if given is None else [int(a) % rank for a in given]
    padded = {a for i, a in enumerate(axes) if pads is None or pads[i] or pads[i + len(axes)]}
    for axis in range(rank):
        if axis not in padded:
            e.tie_axes(source, axis, output, axis)
        else:
            e.pin_axis(source, axis, "padded", "the axis is padded")
            e.pin_axis(output, axis, "padded", "the axis is padded")


def shape(node: ir.Node, e: Emitter, option: int) -> None:
    """The result tells the size of every axis: only axes whose size nobody reads may change."""
    source = e.need(0)
    rank = len(e.dims(source))
    start = node.attributes.get_int("start", 0)
    read = _read_indices(node, rank)
    for axis in range(rank):
        if read is None or (axis - start) in read:
            e.pin_axis(source, axis, "size-read", "its size enters a computation")


def _read_indices(node: ir.Node, rank: int) -> set[int] | None:
    """Which entries of the shape its users read, or None where that is not plain."""
    read: set[int] = set()
    for use in node.outputs[0].uses():
        indices = use.node.inputs[1] if use.node.op_type == "Gather" else None
        tensor = ir.convenience.get_const_tensor(indices) if indices is not None else None
        if use.idx != 0 or tensor is None:
            return None
        read |= {int(i) % rank for i in np.atleast_1d(tensor.numpy()).ravel()}
    return None if node.outputs[0].is_graph_output() else read


def _required(e: Emitter, index: int) -> list[int]:
    content = e.constant(index)
    if content is None:
        raise FreezeError("malformed", f"input {index} is missing")
    return [int(v) for v in content]
