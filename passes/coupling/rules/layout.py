"""Operators that rearrange axes: transpose, reshape, flatten, squeeze, unsqueeze, expand, tile, space to depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ....core.shapes import Dims
from ..emitter import Emitter, FreezeError
from ..space import Ids


@dataclass(frozen=True)
class Run:
    """Consecutive axes before and after a reshape that hold the same elements."""

    before: tuple[int, ...]
    after: tuple[int, ...]


def transpose(node: ir.Node, e: Emitter, option: int) -> None:
    """Axes are permuted."""
    source, output = e.need(0), node.outputs[0]
    rank = len(e.dims(source))
    attribute = node.attributes.get("perm")
    order = list(attribute.as_ints()) if attribute is not None else list(range(rank))[::-1]
    for axis, origin in enumerate(order):
        e.tie_axes(output, axis, source, origin)


def reshape_options(node: ir.Node, e: Emitter) -> int:
    """As many as there are axes in the widest run: each may carry the merged axis."""
    try:
        runs = _runs_of(node, e)
    except FreezeError:
        return 1
    return max((len(r.before) * len(r.after) for r in runs if 1 in (len(r.before), len(r.after))), default=1)


def reshape(node: ir.Node, e: Emitter, option: int) -> None:
    """Axes are split and merged; one axis of a run, the carrier, holds blocks of the merged one."""
    e.constant(1)  # a shape computed at run time freezes all
    _regroup(node, e, option)


def flatten(node: ir.Node, e: Emitter, option: int) -> None:
    """A reshape to two axes."""
    _regroup(node, e, option)


def squeeze(node: ir.Node, e: Emitter, option: int) -> None:
    """Axes of size 1 go; the others keep their order."""
    source, output = e.need(0), node.outputs[0]
    gone = _axes(node, e, len(e.dims(source)))
    if gone is None:
        gone = {axis for axis, size in enumerate(e.dims(source)) if size == 1}
    _renumber(e, source, output, gone)


def unsqueeze(node: ir.Node, e: Emitter, option: int) -> None:
    """Axes of size 1 appear; the others keep their order."""
    source, output = e.need(0), node.outputs[0]
    added = _axes(node, e, len(e.dims(output))) or set()
    _renumber(e, output, source, added)


def expand(node: ir.Node, e: Emitter, option: int) -> None:
    """An axis that keeps its size keeps its ids; one that grows from 1 has none in common.

    Where the shape is computed at run time, a cut puts 1 in its place on the axes that keep their size.
    """
    source, output = e.need(0), node.outputs[0]
    dims, shift = e.dims(source), len(e.dims(output)) - len(e.dims(source))
    constant = ir.convenience.get_const_tensor(e.need(1)) is not None
    for axis, size in enumerate(e.dims(output)):
        if axis >= shift and dims[axis - shift] == size:
            e.tie_axes(source, axis - shift, output, axis)
        elif not constant and isinstance(size, int) and size > 1:
            e.pin_axis(output, axis, "dynamic", "the shape is computed at run time")


def tile(node: ir.Node, e: Emitter, option: int) -> None:
    """An axis that is repeated once keeps its ids; any other is frozen."""
    source, output = e.need(0), node.outputs[0]
    repeats = e.constant(1)
    for axis in range(len(e.dims(source))):
        if repeats is not None and repeats[axis] == 1:
            e.tie_axes(source, axis, output, axis)
        else:
            e.pin_axis(source, axis, "tiled", "the axis is repeated")
            e.pin_axis(output, axis, "tiled", "the axis is repeated")


def space_to_depth(node: ir.Node, e: Emitter, option: int) -> None:
    """Each input channel becomes ``b * b`` output channels; neighbours in mode CRD, far apart in mode DCR."""
    inner = node.attributes.get_string("mode", "DCR") == "CRD"
    _blocks(node, e, wide=node.outputs[0], narrow=e.need(0), inner=inner)


def depth_to_space(node: ir.Node, e: Emitter, option: int) -> None:
    """``b * b`` input channels become one; neighbours in mode CRD, far apart in mode DCR."""
    inner = node.attributes.get_string("mode", "DCR") == "CRD"
    _blocks(node, e, wide=e.need(0), narrow=node.outputs[0], inner=inner)


def factor_runs(before: Dims, after: Dims) -> list[Run]:
    """Match axes before and after a reshape into the shortest runs of equal product.

    Axes of size 1 are left out: they hold nothing that could be cut. Known sizes are matched from the left and
    from the right; what lies between holds the dynamic axes and is one run.
    """
    left = [(axis, size) for axis, size in enumerate(before) if size != 1]
    right = [(axis, size) for axis, size in enumerate(after) if size != 1]
    head = _match(left, right)
    used = (sum(len(r.before) for r in head), sum(len(r.after) for r in head))
    left, right = left[used[0] :], right[used[1] :]
    tail = [Run(r.before[::-1], r.after[::-1]) for r in _match(left[::-1], right[::-1])]
    used = (sum(len(r.before) for r in tail), sum(len(r.after) for r in tail))
    left, right = left[: len(left) - used[0]], right[: len(right) - used[1]]
    middle = [Run(tuple(a for a, _ in left), tuple(a for a, _ in right))] if left or right else []
    return [*head, *middle, *tail]


def _match(left: list[tuple[int, int | str | None]], right: list[tuple[int, int | str | None]]) -> list[Run]:
    runs: list[Run] = []
    i = j = 0
    while i < len(left) and j < len(right):
        first, second = i, j
        a, b = left[i][1], right[j][1]
        while isinstance(a, int) and isinstance(b, int) and a != b:
            if a < b:
                i += 1
                step = left[i][1] if i < len(left) else None
                a = a * step if isinstance(step, int) else None
            else:
                j += 1
                step = right[j][1] if j < len(right) else None
                b = b * step if isinstance(step, int) else None
        if not (isinstance(a, int) and a == b):
            break
        i, j = i + 1, j + 1
        runs.append(Run(tuple(x for x, _ in left[first:i]), tuple(x for x, _ in right[second:j])))
    return runs


def _runs_of(node: ir.Node, e: Emitter) -> list[Run]:
    return factor_runs(e.dims(e.need(0)), e.dims(node.outputs[0]))


def _regroup(node: ir.Node, e: Emitter, option: int) -> None:
    source, output = e.need(0), node.outputs[0]
    for run in _runs_of(node, e):
        if len(run.before) == len(run.after) == 1:
            e.tie_axes(source, run.before[0], output, run.after[0])
        elif len(run.after) == 1:
            _carry(e, (source, run.before), (output, run.after[0]), option)
        elif len(run.before) == 1:
            _carry(e, (output, run.after), (source, run.before[0]), option)
        else:
            for value, axes in ((source, run.before), (output, run.after)):
                for axis in axes:
                    e.pin_axis(value, axis, "reshape", "axes are merged and split at once")


def _carry(
    e: Emitter, parts: tuple[ir.Value, tuple[int, ...]], whole: tuple[ir.Value, int], option: int
) -> None:
    """Tie every index of the merged axis to its index on the carrier; pin the other axes."""
    value, axes = parts
    merged = e.ids(*whole)
    sizes = [size for size in (e.dims(value)[axis] for axis in axes) if isinstance(size, int)]
    if merged is None or len(sizes) != len(axes):
        for axis in axes:
            e.pin_axis(value, axis, "reshape", "merged with a dynamic axis")
        e.pin(merged, whole[1], "reshape", "holds a dynamic axis")
        return
    carrier = option % len(axes)
    place = np.indices(sizes).reshape(len(axes), -1)
    ids = e.ids(value, axes[carrier])
    if ids is not None:
        e.tie(merged, ids[place[carrier]])
    for axis in axes:
        if axis != axes[carrier]:
            e.pin_axis(value, axis, "reshape", "another axis carries the merged one")


def _axes(node: ir.Node, e: Emitter, rank: int) -> set[int] | None:
    """The ``axes`` of Squeeze and Unsqueeze: an attribute before opset 13, an input since."""
    attribute = node.attributes.get("axes")
    axes = list(attribute.as_ints()) if attribute is not None else e.constant(1)
    if axes is None:
        return None
    if len(np.atleast_1d(axes)) and not rank:
        raise FreezeError("malformed", "a scalar has no axes")
    return {int(axis) % rank for axis in np.atleast_1d(axes)}


def _renumber(e: Emitter, wide: ir.Value, narrow: ir.Value, gone: set[int]) -> None:
    kept = [axis for axis in range(len(e.dims(wide))) if axis not in gone]
    for position, axis in enumerate(kept):
        e.tie_axes(wide, axis, narrow, position)
    for axis in gone:
        e.pin_axis(wide, axis, "squeezed", "the axis must keep its size of 1")


def _blocks(node: ir.Node, e: Emitter, wide: ir.Value, narrow: ir.Value, *, inner: bool) -> None:
    many, few = e.ids(wide, 1), e.ids(narrow, 1)
    if many is None or few is None:
        raise FreezeError("dynamic", "the channel axis is dynamic")
    e.tie_axes(wide, 0, narrow, 0)
    table: Ids = many.reshape(len(few), -1).T if inner else many.reshape(-1, len(few))
    for row in table:
        e.tie(row, few)
    for value in (wide, narrow):
        for axis in (2, 3):
            e.pin_axis(value, axis, "spatial", "blocks of this axis move to the channels")
