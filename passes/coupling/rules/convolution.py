"""Convolutions: plain, grouped, depthwise, transposed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ..emitter import Contraction, Emitter, FreezeError

IdsTable = npt.NDArray[np.int64]
"""Ids in rows, one row a group: shape ``(groups, channels of a group)``."""


def conv_options(node: ir.Node, e: Emitter) -> int:
    """A grouped convolution is cut at the same local index in every group, or by whole groups.

    The first comes first: along a stream of several grouped convolutions it is the one that they can agree on.
    """
    if node.attributes.get_int("group", 1) == 1:
        return 1
    lanes = 1 if node.op_type == "ConvTranspose" else e.dims(e.need(1))[1]
    return 1 if node.op_type == "Conv" and lanes == 1 else 2


def conv(node: ir.Node, e: Emitter, option: int) -> None:
    """``X[1] ~ W[1]`` and ``Y[1] ~ W[0] ~ B[0]``; with groups, see :func:`conv_options`."""
    groups = _groups_of(node)
    _convolve(node, e, groups, option, in_axis=1, out_axis=0)


def conv_transpose(node: ir.Node, e: Emitter, option: int) -> None:
    """As :func:`conv` with the weight's axes swapped: ``X[1] ~ W[0]``, ``Y[1] ~ W[1]`` in each group."""
    groups = _groups_of(node)
    source, weight, output = e.need(0), e.need(1), node.outputs[0]
    if groups == 1:
        _convolve(node, e, 1, option, in_axis=0, out_axis=1)
        return
    _freeze_spatial(e, source, output, weight)
    x, y = e.ids(source, 1), e.ids(output, 1)
    rows, columns = e.ids(weight, 0), e.ids(weight, 1)
    if x is None or y is None or rows is None or columns is None:
        raise FreezeError("dynamic", "a channel axis is dynamic")
    e.tie(x, rows)
    blocks_x, blocks_y = x.reshape(groups, -1), y.reshape(groups, -1)
    if option == 1:
        e.pin(columns, 1, "whole-groups", "the weight's axis is shared by all groups")
        _tie_whole_groups(e, blocks_x, blocks_y)
    else:
        for block in range(groups):
            e.tie(blocks_y[block], columns)
            e.tie(blocks_x[block], blocks_x[0])
        e.contract(Contraction(node, source, 1, weight, 0, blocks=groups))
    _tie_bias(e, output)


def _groups_of(node: ir.Node) -> int:
    groups = node.attributes.get_int("group", 1)
    if groups < 1:
        raise FreezeError("uneven-groups", f"{groups} groups are none")
    return groups


def _convolve(node: ir.Node, e: Emitter, groups: int, option: int, in_axis: int, out_axis: int) -> None:
    source, weight, output = e.need(0), e.need(1), node.outputs[0]
    _freeze_spatial(e, source, output, weight)
    if groups == 1:
        e.tie_axes(source, 1, weight, in_axis)
        e.contract(Contraction(node, source, 1, weight, in_axis))
        e.tie_axes(output, 1, weight, out_axis)
    else:
        _grouped(node, e, groups, option)
    _tie_bias(e, output)


def _grouped(node: ir.Node, e: Emitter, groups: int, option: int) -> None:
    source, weight, output = e.need(0), e.need(1), node.outputs[0]
    x, y, lanes = e.ids(source, 1), e.ids(output, 1), e.ids(weight, 1)
    if x is None or y is None or lanes is None or len(x) % groups or len(y) % groups:
        raise FreezeError("uneven-groups", "the channels do not divide into the groups")
    e.tie_axes(output, 1, weight, 0)
    blocks_x, blocks_y = x.reshape(groups, -1), y.reshape(groups, -1)
    if option == 1 or len(lanes) == 1:
        if len(lanes) > 1:
            e.pin(lanes, 1, "whole-groups", "the weight's axis is shared by all groups")
        _tie_whole_groups(e, blocks_x, blocks_y)
        return
    for block in range(groups):
        e.tie(blocks_x[block], lanes)
        e.tie(blocks_y[block], blocks_y[0])
    e.contract(Contraction(node, source, 1, weight, 1, blocks=groups))


def _tie_whole_groups(e: Emitter, blocks_x: IdsTable, blocks_y: IdsTable) -> None:
    """Everything that enters a group and everything that leaves it goes together."""
    for column in range(blocks_x.shape[1]):
        e.tie(blocks_x[:, column], blocks_x[:, 0])
    for column in range(blocks_y.shape[1]):
        e.tie(blocks_y[:, column], blocks_x[:, 0])


def _tie_bias(e: Emitter, output: ir.Value) -> None:
    bias = e.input(2)
    if bias is not None:
        e.tie_axes(output, 1, bias, 0)


def _freeze_spatial(e: Emitter, source: ir.Value, output: ir.Value, weight: ir.Value) -> None:
    e.tie_axes(source, 0, output, 0)
    for value in (source, output, weight):
        for axis in range(2, len(e.dims(value))):
            e.pin_axis(value, axis, "spatial", "slides over this axis")
