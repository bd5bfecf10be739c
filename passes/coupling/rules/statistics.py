"""Operators that look at many indices at once: normalisation, reduction, softmax, pooling, resizing."""

from __future__ import annotations

import onnx_ir as ir

from ..emitter import Contraction, Emitter, FreezeError

_SUMS = frozenset({"ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare"})


def batch_normalization(node: ir.Node, e: Emitter, option: int) -> None:
    """Each channel is its own: ``X[1] ~ Y[1] ~`` scale, bias, mean, variance."""
    source, output = e.need(0), node.outputs[0]
    for axis in range(len(e.dims(source))):
        e.tie_axes(source, axis, output, axis)
    if not node.attributes.get_int("spatial", 1):
        raise FreezeError("not-spatial", "it normalizes each position apart")
    for index in range(1, len(node.inputs)):
        e.tie_axes(source, 1, e.need(index), 0)
    if node.attributes.get_int("training_mode", 0):
        for axis in range(len(e.dims(source))):
            e.pin_axis(source, axis, "training-mode", "takes its statistics at run time")


def instance_normalization(node: ir.Node, e: Emitter, option: int) -> None:
    """Each channel is its own, normalised over the space."""
    source, output = e.need(0), node.outputs[0]
    for axis in range(len(e.dims(source))):
        e.tie_axes(source, axis, output, axis)
        if axis >= 2:
            e.pin_axis(source, axis, "normalised", "its statistics run over this axis")
    for index in (1, 2):
        e.tie_axes(source, 1, e.need(index), 0)


def layer_normalization(node: ir.Node, e: Emitter, option: int) -> None:
    """The normalised axes' mean and variance change with every cut: they are frozen unless that is allowed."""
    source, output = e.need(0), node.outputs[0]
    rank = len(e.dims(source))
    first = node.attributes.get_int("axis", -1) % rank
    statistics = [v for v in node.outputs[1:] if v.uses() or v.is_graph_output()]
    for axis in range(rank):
        e.tie_axes(source, axis, output, axis)
        for statistic in statistics if axis < first else ():
            e.tie_axes(source, axis, statistic, axis)
        if axis == first == rank - 1 and not statistics:
            e.average(source, axis, "mean and variance over this axis would change")
        elif axis >= first:
            text = (
                "its mean and variance are read" if statistics else "mean and variance run over several axes"
            )
            e.pin_axis(source, axis, "normalised", text)
    for value in node.inputs[1:]:
        if value is not None:
            shift = rank - len(e.dims(value))
            for axis in range(len(e.dims(value))):
                e.tie_axes(value, axis, source, axis + shift)


def skip_layer_normalization(node: ir.Node, e: Emitter, option: int) -> None:
    """``com.microsoft.SkipLayerNormalization(input, skip, gamma, beta, bias)``: a sum, normalised over the last axis."""
    source = e.need(0)
    rank = len(e.dims(source))
    for value in (*node.inputs, *node.outputs):
        if value is None or not value.name or not e.dims(value):
            continue
        for axis in range(len(e.dims(value))):
            same = e.dims(value)[axis] == e.dims(source)[axis + rank - len(e.dims(value))]
            if same:
                e.tie_axes(value, axis, source, axis + rank - len(e.dims(value)))
    e.pin_axis(source, rank - 1, "approximate", "mean and variance over this axis would change")


def group_normalization(node: ir.Node, e: Emitter, option: int) -> None:
    """The statistics run over channels of a group: the channels are frozen."""
    source, output = e.need(0), node.outputs[0]
    for axis in range(len(e.dims(source))):
        e.tie_axes(source, axis, output, axis)
        if axis != 0:
            e.pin_axis(source, axis, "approximate", "mean and variance over this axis would change")
    for value in node.inputs[1:]:
        if value is not None:
            for axis in range(len(e.dims(value))):
                e.pin_axis(value, axis, "approximate", "mean and variance over this axis would change")


def along_axis(node: ir.Node, e: Emitter, option: int) -> None:
    """Softmax and its kin: every lane of the axis enters every output, the other axes are independent."""
    source, output = e.need(0), node.outputs[0]
    rank = len(e.dims(source))
    default = 1 if e.opset < 13 and node.op_type != "LpNormalization" else -1
    first = node.attributes.get_int("axis", default) % rank
    coerced = e.opset < 13 and node.op_type != "LpNormalization"
    for axis in range(rank):
        e.tie_axes(source, axis, output, axis)
        if axis == first or (coerced and axis > first):
            e.pin_axis(source, axis, "all-lanes", "each output depends on every lane of this axis")


def channel_neighbours(node: ir.Node, e: Emitter, option: int) -> None:
    """Local response normalisation mixes neighbouring channels: they are frozen."""
    source, output = e.need(0), node.outputs[0]
    for axis in range(len(e.dims(source))):
        e.tie_axes(source, axis, output, axis)
    e.pin_axis(source, 1, "approximate", "neighbouring channels enter each other's norm")


def reduce(node: ir.Node, e: Emitter, option: int) -> None:
    """Axes that stay keep their ids; of those that go only a sum can lose a lane."""
    source, output = e.need(0), node.outputs[0]
    rank = len(e.dims(source))
    attribute = node.attributes.get("axes")
    given = list(attribute.as_ints()) if attribute is not None else e.constant(1)
    if given is None or not len(given):
        given = [] if node.attributes.get_int("noop_with_empty_axes", 0) == 1 else list(range(rank))
    gone = {int(a) % rank for a in given}
    _keep_others(node, e, source, output, gone)
    for axis in gone:
        if node.op_type in _SUMS:
            e.contract(Contraction(node, source, axis))
        elif node.op_type == "ReduceMean":
            e.average(source, axis, "the mean over this axis would change")
        else:
            e.pin_axis(source, axis, "reduced", "every lane enters the result")


def arg_reduce(node: ir.Node, e: Emitter, option: int) -> None:
    """ArgMax and ArgMin name a lane of their axis: it is frozen."""
    source, output = e.need(0), node.outputs[0]
    axis = node.attributes.get_int("axis", 0) % len(e.dims(source))
    _keep_others(node, e, source, output, {axis})
    e.pin_axis(source, axis, "reduced", "the result names a lane of this axis")


def pool(node: ir.Node, e: Emitter, option: int) -> None:
    """Batch and channels stay as they are; the space is frozen."""
    source, output = e.need(0), node.outputs[0]
    for axis in (0, 1):
        e.tie_axes(source, axis, output, axis)
    for value in (source, output):
        for axis in range(2, len(e.dims(value))):
            e.pin_axis(value, axis, "spatial", "slides over this axis")
    if len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output()):
        e.pin_axis(source, 1, "indices", "the Indices output counts over the channels")


def resize(node: ir.Node, e: Emitter, option: int) -> None:
    """An axis that keeps its size keeps its ids; scales and a region of interest have an entry for each axis."""
    source, output = e.need(0), node.outputs[0]
    for value in node.inputs[1:3]:
        if value is not None and e.dims(value):
            e.pin_axis(value, 0, "spatial", "has an entry for each axis")
    sizes = e.input(3)
    written = sizes is not None and ir.convenience.get_const_tensor(sizes) is None
    for axis, size in enumerate(e.dims(source)):
        if size == e.dims(output)[axis] and axis < 2:
            e.tie_axes(source, axis, output, axis)
            if written:
                e.pin_axis(source, axis, "dynamic", "the sizes are computed at run time")
        else:
            e.pin_axis(source, axis, "resized", "the axis is resampled")
            e.pin_axis(output, axis, "resized", "the axis is resampled")


def quantize_linear(node: ir.Node, e: Emitter, option: int) -> None:
    """All axes stay; a scale for each index follows its axis."""
    source, output = e.need(0), node.outputs[0]
    rank = len(e.dims(source))
    axis = node.attributes.get_int("axis", 1)
    for index in range(rank):
        e.tie_axes(source, index, output, index)
    for index in range(1, len(node.inputs)):
        value = e.input(index)
        if value is None or not e.dims(value):
            continue
        if len(e.dims(value)) == 1:
            if e.dims(value)[0] != 1 or e.dims(source)[axis % rank] == 1:
                e.tie_axes(value, 0, source, axis % rank)
        else:
            e.pin_axis(source, axis % rank, "blocked", "scales cover blocks of this axis")
            e.pin_axis(value, axis % rank, "blocked", "scales cover blocks of this axis")
            for other in (index for index in range(rank) if index != axis % rank):
                e.tie_axes(value, other, source, other)


def _keep_others(node: ir.Node, e: Emitter, source: ir.Value, output: ir.Value, gone: set[int]) -> None:
    keep = node.attributes.get_int("keepdims", 1)
    rest = [axis for axis in range(len(e.dims(source))) if axis not in gone]
    for position, axis in enumerate(rest):
        e.tie_axes(source, axis, output, axis if keep else position)
