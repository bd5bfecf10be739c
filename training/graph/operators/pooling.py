"""Poolings over windows, and over everything."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from ..plan import Ints, Kernel, NodePlan
from .windows import Window, pad_spatial

Tensor = torch.Tensor

_MAX = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_MAX_WITH_PLACES: dict[int, Callable[..., Any]] = {
    1: functional.max_pool1d_with_indices,
    2: functional.max_pool2d_with_indices,
    3: functional.max_pool3d_with_indices,
}
_AVERAGE: dict[int, Callable[..., Tensor]] = {
    1: functional.avg_pool1d,
    2: functional.avg_pool2d,
    3: functional.avg_pool3d,
}


def max_pool(node: NodePlan) -> Kernel:
    """MaxPool; pads hold the lowest value, and are torch's own where they are equal and small enough."""
    window, is_up = Window.of(node), bool(node.integer("ceil_mode", 0))
    size = _size(node, window)
    wants_places, by_column = node.wants(1), bool(node.integer("storage_order", 0))
    rank = len(size)
    if wants_places and by_column and rank != 2:
        node.refuse("indices by column are supported for images only")

    def kernel(x: Tensor) -> Any:
        strides, dilations, before, after = _geometry(window, x.shape[2:], size, is_up)
        fits = before == after and all(2 * p <= k for p, k in zip(before, size, strict=True))
        if fits and not wants_places:
            return _MAX[rank](x, size, strides, before, dilations)
        padded = x if fits else pad_spatial(x, before, after, _lowest(x))
        inner = before if fits else (0,) * rank
        if not wants_places:
            return _MAX[rank](padded, size, strides, inner, dilations)
        best, places = _MAX_WITH_PLACES[rank](padded, size, strides, inner, dilations)
        shift = (0,) * rank if fits else before
        return best, _places(places, x.shape, padded.shape[2:], shift, by_column)

    return kernel


def average_pool(node: NodePlan) -> Kernel:
    """AveragePool; whatever torch cannot say is a sum over windows divided by how many elements each holds."""
    window, is_up = Window.of(node), bool(node.integer("ceil_mode", 0))
    counts_pads, size = bool(node.integer("count_include_pad", 0)), _size(node, window)
    rank = len(size)

    def kernel(x: Tensor) -> Tensor:
        strides, dilations, before, after = _geometry(window, x.shape[2:], size, False)
        is_plain = before == after and not is_up and set(dilations) == {1}
        if is_plain and all(2 * p <= k for p, k in zip(before, size, strict=True)):
            return _AVERAGE[rank](x, size, strides, before, False, counts_pads)
        counted = torch.ones_like(x[:1, :1])
        counted = pad_spatial(counted, before, after, 1.0 if counts_pads else 0.0)
        extra = _extra(x.shape[2:], size, strides, dilations, before, after) if is_up else (0,) * rank
        grown = pad_spatial(pad_spatial(x, before, after), (0,) * rank, extra)
        number = _window_sum(pad_spatial(counted, (0,) * rank, extra), size, strides, dilations)
        return _window_sum(grown, size, strides, dilations) / number

    return kernel


def lp_pool(node: NodePlan) -> Kernel:
    """LpPool: ``(sum |x|^p)^(1/p)`` over each window."""
    window, power, is_up = Window.of(node), node.integer("p", 2), bool(node.integer("ceil_mode", 0))
    size = _size(node, window)

    def kernel(x: Tensor) -> Tensor:
        strides, dilations, before, after = _geometry(window, x.shape[2:], size, is_up)
        raised = pad_spatial(x.abs().pow(power), before, after)
        return _window_sum(raised, size, strides, dilations).pow(1.0 / power)

    return kernel


def global_average_pool(x: Tensor) -> Tensor:
    """GlobalAveragePool."""
    return x.mean(dim=tuple(range(2, x.dim())), keepdim=True)


def global_max_pool(x: Tensor) -> Tensor:
    """GlobalMaxPool."""
    return x.amax(dim=tuple(range(2, x.dim())), keepdim=True)


def global_lp_pool(node: NodePlan) -> Kernel:
    """GlobalLpPool."""
    power = node.integer("p", 2)
    return lambda x: x.abs().pow(power).sum(dim=tuple(range(2, x.dim())), keepdim=True).pow(1.0 / power)


def max_unpool(node: NodePlan) -> Kernel:
    """MaxUnpool: puts values where a MaxPool found them."""
    window = Window.of(node)
    size, read = _size(node, window), node.read_ints(2)

    def kernel(x: Tensor, places: Tensor, shape: Tensor | None = None) -> Tensor:
        strides, _, before, after = window.at(x.shape[2:], size)
        grown = tuple(
            (n - 1) * s - b - a + k
            for n, s, b, a, k in zip(x.shape[2:], strides, before, after, size, strict=True)
        )
        inferred = (*x.shape[:2], *grown)
        flat = (
            x.new_zeros(math.prod(inferred)).scatter(0, places.reshape(-1), x.reshape(-1)).reshape(inferred)
        )
        wanted = read(shape)
        if wanted is None:
            return flat
        return pad_spatial(
            flat, (0,) * len(grown), tuple(w - g for w, g in zip(wanted[2:], grown, strict=True))
        )

    return kernel


def _size(node: NodePlan, window: Window) -> Ints:
    if window.kernel is None or not 1 <= len(window.kernel) <= 3:
        node.refuse("a pooling needs a kernel_shape of one to three axes")
    return window.kernel


def _geometry(
    window: Window, sizes: Sequence[int], kernel: Ints, is_up: bool
) -> tuple[Ints, Ints, Ints, Ints]:
    """As the window says; where the output is rounded up, with more after the end."""
    strides, dilations, before, after = window.at(sizes, kernel)
    if is_up:
        extra = _extra(sizes, kernel, strides, dilations, before, after)
        after = tuple(a + e for a, e in zip(after, extra, strict=True))
    return strides, dilations, before, after


def _extra(
    sizes: Sequence[int], kernel: Ints, strides: Ints, dilations: Ints, before: Ints, after: Ints
) -> Ints:
    """What is missing at the end for the last window, which must start inside the input or the pads before it."""
    found = []
    for n, k, s, d, b, a in zip(sizes, kernel, strides, dilations, before, after, strict=True):
        reach = (k - 1) * d + 1
        count = -(-(n + b + a - reach) // s) + 1
        count -= (count - 1) * s >= n + b
        found.append(max((count - 1) * s + reach - (n + b + a), 0))
    return tuple(found)


def _window_sum(x: Tensor, kernel: Ints, strides: Ints, dilations: Ints) -> Tensor:
    """The sum over each window, by unfolding one axis after the other."""
    for axis, (k, s, d) in enumerate(zip(kernel, strides, dilations, strict=True), start=2):
        reach = (k - 1) * d + 1
        x = x.unfold(axis, reach, s)[..., ::d].sum(-1)
    return x


def _lowest(x: Tensor) -> float:
    return float("-inf") if x.is_floating_point() else torch.iinfo(x.dtype).min


def _places(places: Tensor, shape: torch.Size, padded: Sequence[int], shift: Ints, by_column: bool) -> Tensor:
    """From indices into a padded image to indices into the whole input."""
    rest, coordinates = places, []
    for size in reversed(padded):
        coordinates.append(rest % size)
        rest = rest // size
    coordinates = [c - s for c, s in zip(reversed(coordinates), shift, strict=True)]
    sizes = list(shape[2:])
    if by_column:
        coordinates, sizes = coordinates[::-1], sizes[::-1]
    flat = torch.zeros_like(places)
    for coordinate, size in zip(coordinates, sizes, strict=True):
        flat = flat * size + coordinate
    images = torch.arange(shape[0] * shape[1], device=places.device)
    return flat + images.reshape(shape[0], shape[1], *(1,) * len(sizes)) * math.prod(sizes)
