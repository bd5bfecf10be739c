"""Operators that move elements and make shapes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from ..dtypes import CARRIERS, to_torch
from ..plan import Ints, Kernel, NodePlan
from .conversion import wanted_type

Tensor = torch.Tensor


def read_list(node: NodePlan, name: str, index: int) -> Callable[[Tensor | None], Ints | None]:
    """How to read a list that is an attribute in older versions and an input in newer ones."""
    fixed = node.ints(name)
    return node.read_ints(index) if fixed is None else lambda _: fixed


def reshape(node: NodePlan) -> Kernel:
    """Reshape: 0 copies a size, unless ``allowzero`` says otherwise."""
    read, allows_zero = read_list(node, "shape", 1), bool(node.integer("allowzero", 0))

    def kernel(x: Tensor, shape: Tensor | None = None) -> Tensor:
        sizes = read(shape) or ()
        if not allows_zero and 0 in sizes:
            sizes = tuple(x.shape[i] if n == 0 else n for i, n in enumerate(sizes))
        return x.reshape(sizes)

    return kernel


def flatten(node: NodePlan) -> Kernel:
    """Flatten to a matrix."""
    axis = node.integer("axis", 1)

    def kernel(x: Tensor) -> Tensor:
        first = axis + x.dim() if axis < 0 else axis
        return x.reshape(math.prod(x.shape[:first]), math.prod(x.shape[first:]))

    return kernel


def transpose(node: NodePlan) -> Kernel:
    """Transpose; all axes are turned round where none are named."""
    order = node.ints("perm")
    return lambda x: x.permute(order if order is not None else tuple(range(x.dim() - 1, -1, -1)))


def squeeze(node: NodePlan) -> Kernel:
    """Squeeze."""
    read = read_list(node, "axes", 1)

    def kernel(x: Tensor, axes: Tensor | None = None) -> Tensor:
        named = read(axes)
        if named is None:
            return x.squeeze()
        wrong = [a for a in named if x.shape[a] != 1]
        if wrong:
            raise ValueError(f"axis {wrong[0]} has {x.shape[wrong[0]]} elements and cannot be squeezed")
        return x.squeeze(named)

    return kernel


def unsqueeze(node: NodePlan) -> Kernel:
    """Unsqueeze: axes count in the result."""
    read = read_list(node, "axes", 1)

    def kernel(x: Tensor, axes: Tensor | None = None) -> Tensor:
        named = read(axes) or ()
        rank = x.dim() + len(named)
        for axis in sorted(a % rank for a in named):
            x = x.unsqueeze(axis)
        return x

    return kernel


def expand(node: NodePlan) -> Kernel:
    """Expand: broadcasting in both directions."""
    read = node.read_ints(1)

    def kernel(x: Tensor, wanted: Tensor) -> Tensor:
        sizes = read(wanted) or ()
        rank = max(len(sizes), x.dim())
        own, sizes = (1,) * (rank - x.dim()) + tuple(x.shape), (1,) * (rank - len(sizes)) + sizes
        return x.expand([a if b == 1 else b for a, b in zip(own, sizes, strict=True)])

    return kernel


def tile(node: NodePlan) -> Kernel:
    """Tile."""
    read = node.read_ints(1)
    return lambda x, repeats: x.repeat(read(repeats) or ())


def concat(node: NodePlan) -> Kernel:
    """Concat."""
    axis = node.integer("axis", 0)
    return lambda *values: torch.cat(values, axis)


def split(node: NodePlan) -> Kernel:
    """Split by sizes, or into as many parts as there are outputs, the last the smallest."""
    axis, read = node.integer("axis", 0), read_list(node, "split", 1)
    parts = node.integer("num_outputs", len(node.node.outputs))

    def kernel(x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        named = read(sizes)
        if named is not None:
            return torch.split(x, list(named), axis)
        size = x.shape[axis]
        step = -(-size // parts)
        return torch.split(x, [min(step, max(size - i * step, 0)) for i in range(parts)], axis)

    return kernel


def slice_by_attributes(node: NodePlan) -> Kernel:
    """Slice before version 10."""
    starts, ends = node.ints("starts") or (), node.ints("ends") or ()
    axes = node.ints("axes") or tuple(range(len(starts)))
    return lambda x: _slice(x, starts, ends, axes, (1,) * len(starts))


def slice_(node: NodePlan) -> Kernel:
    """Slice: starts, ends, axes and steps are inputs."""
    readers = [node.read_ints(i) for i in range(1, 5)]

    def kernel(x: Tensor, *bounds: Tensor | None) -> Tensor:
        given = [*bounds, None, None, None, None]
        starts, ends, axes, steps = (read(t) for read, t in zip(readers, given, strict=False))
        starts, ends = starts or (), ends or ()
        axes = tuple(range(len(starts))) if axes is None else axes
        return _slice(x, starts, ends, axes, (1,) * len(starts) if steps is None else steps)

    return kernel


def _slice(x: Tensor, starts: Ints, ends: Ints, axes: Ints, steps: Ints) -> Tensor:
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        first, last, _ = slice(start, end, step).indices(x.shape[axis])
        if step > 0:
            x = (
                x.narrow(axis, first, max(last - first, 0))
                if step == 1
                else _strided(x, axis, first, last, step)
            )
        else:
            index = torch.arange(first, last, step, device=x.device)
            x = x.index_select(axis, index)
    return x


def _strided(x: Tensor, axis: int, first: int, last: int, step: int) -> Tensor:
    return x[(slice(None),) * (axis % x.dim()) + (slice(first, max(last, first), step),)]


def shape(node: NodePlan) -> Kernel:
    """Shape, or a part of it; in host memory wherever the tensor is."""
    start, end = node.integer("start", 0), node.integer("end", 2**31)
    return lambda x: torch.tensor(x.shape[start:end], dtype=torch.int64)


def size(x: Tensor) -> Tensor:
    """Size: the number of elements."""
    return torch.tensor(x.numel(), dtype=torch.int64)


def constant_of_shape(node: NodePlan) -> Kernel:
    """ConstantOfShape."""
    read, given = node.read_ints(0), node.tensor("value")
    value = torch.zeros(1) if given is None else to_torch(given).reshape(-1)
    return lambda sizes: value.expand(read(sizes) or ()).clone()


def range_(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    """Range, of the type of its inputs."""
    first, step = start.item(), delta.item()
    count = max(math.ceil((limit.item() - first) / step), 0)
    if not start.is_floating_point():
        return torch.arange(count, dtype=start.dtype) * step + first
    return (torch.arange(count, dtype=torch.float64) * step + first).to(start.dtype)


def eye_like(node: NodePlan) -> Kernel:
    """EyeLike."""
    offset = node.integer("k", 0)
    wanted = CARRIERS[wanted_type(node, "dtype")] if "dtype" in node.node.attributes else None

    def kernel(x: Tensor) -> Tensor:
        dtype = wanted or x.dtype
        ones = torch.ones(max(x.shape), device=x.device)
        whole = torch.diag(ones, offset)
        return (
            whole[: x.shape[0], : x.shape[1]].to(dtype) if whole.numel() else torch.zeros_like(x, dtype=dtype)
        )

    return kernel


def trilu(node: NodePlan) -> Kernel:
    """Trilu: the upper or the lower triangle."""
    cut = torch.triu if node.integer("upper", 1) else torch.tril
    read = node.read_number(1)
    return lambda x, k=None: cut(x, int(read(k) or 0))


def depth_to_space(node: NodePlan) -> Kernel:
    """DepthToSpace, by depth first (DCR) or by column and row first (CRD)."""
    b, is_depth_first = node.integer("blocksize", 1), node.text("mode", "DCR") == "DCR"

    def kernel(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        if is_depth_first:
            blocks = x.reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2)
        else:
            blocks = x.reshape(n, c // (b * b), b, b, h, w).permute(0, 1, 4, 2, 5, 3)
        return blocks.reshape(n, c // (b * b), h * b, w * b)

    return kernel


def space_to_depth(node: NodePlan) -> Kernel:
    """SpaceToDepth, by depth first (DCR) or by column and row first (CRD)."""
    b, is_depth_first = node.integer("blocksize", 1), node.text("mode", "DCR") == "DCR"

    def kernel(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        blocks = x.reshape(n, c, h // b, b, w // b, b)
        order = (0, 3, 5, 1, 2, 4) if is_depth_first else (0, 1, 3, 5, 2, 4)
        return blocks.permute(order).reshape(n, c * b * b, h // b, w // b)

    return kernel


def pad(node: NodePlan) -> Kernel:
    """Pad: with a number, the edge, a reflection or round the other end; negative pads cut."""
    mode = node.text("mode", "constant")
    read, read_axes = read_list(node, "pads", 1), node.read_ints(3)
    stated, read_value = node.node.attributes.get("value"), node.read_number(2)
    value = 0.0 if stated is None else stated.as_float()

    def kernel(x: Tensor, pads: Any = None, fill: Tensor | None = None, axes: Tensor | None = None) -> Tensor:
        widths, named = read(pads) or (), read_axes(axes)
        named = tuple(range(x.dim())) if named is None else named
        half = len(widths) // 2
        pairs = {a % x.dim(): (widths[i], widths[half + i]) for i, a in enumerate(named)}
        if mode == "constant":
            number = read_value(fill)
            flat = [n for axis in reversed(range(x.dim())) for n in pairs.get(axis, (0, 0))]
            return functional.pad(x, flat, value=value if number is None else number)
        for axis, (before, after) in pairs.items():
            x = _pad_axis(x, axis, before, after, mode)
        return x

    return kernel


def _pad_axis(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    """Pad one axis by choosing the indices that each mode repeats."""
    if before == 0 and after == 0:
        return x
    size = x.shape[axis]
    index = torch.arange(-before, size + after, device=x.device)
    if mode == "edge":
        index = index.clamp(0, size - 1)
    elif mode == "wrap":
        index = index.remainder(size)
    else:
        period = max(2 * (size - 1), 1)
        index = index.remainder(period)
        index = torch.where(index < size, index, period - index)
    return x.index_select(axis, index)


def center_crop_pad(node: NodePlan) -> Kernel:
    """CenterCropPad: the middle of each axis is kept, or zeros are put round it."""
    read, axes = node.read_ints(1), node.ints("axes")

    def kernel(x: Tensor, sizes: Tensor) -> Tensor:
        for axis, wanted in zip(axes or range(x.dim()), read(sizes) or (), strict=True):
            more = wanted - x.shape[axis]
            if more < 0:
                x = x.narrow(axis, -more // 2, wanted)
            elif more > 0:
                at = axis % x.dim()
                x = functional.pad(x, [0, 0] * (x.dim() - 1 - at) + [more // 2, more - more // 2])
        return x

    return kernel
