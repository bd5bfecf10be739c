"""Convolutions of one to three spatial axes."""

from __future__ import annotations

import torch
from torch.nn import functional

from ..plan import Ints, Kernel, NodePlan
from .windows import Window, pad_spatial

Tensor = torch.Tensor

_CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TURNED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


def conv(node: NodePlan) -> Kernel:
    """Conv: pads that differ before and after are made by hand, all others are torch's own."""
    window, groups = Window.of(node), node.integer("group", 1)

    def kernel(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        rank = w.dim() - 2
        strides, dilations, before, after = window.at(x.shape[2:], w.shape[2:])
        if before != after:
            x, before = pad_spatial(x, before, after), (0,) * rank
        return _CONV[rank](x, w, b, strides, before, dilations, groups)

    return kernel


def conv_transpose(node: NodePlan) -> Kernel:
    """ConvTranspose: computed without pads, then cut or extended to the stated output."""
    window, groups = Window.of(node), node.integer("group", 1)
    extra, wanted = node.ints("output_padding"), node.ints("output_shape")

    def kernel(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        rank = w.dim() - 2
        strides, dilations = window.strides or (1,) * rank, window.dilations or (1,) * rank
        more = extra or (0,) * rank
        sizes = tuple(
            step * (size - 1) + spread * (k - 1) + 1
            for size, k, step, spread in zip(x.shape[2:], w.shape[2:], strides, dilations, strict=True)
        )
        before, after = _pads(window, x.shape[2:], strides, sizes, more, wanted)
        if (
            before == after
            and all(p >= 0 for p in before)
            and all(o < s for o, s in zip(more, strides, strict=True))
        ):
            return _TURNED[rank](x, w, b, strides, before, more, groups, dilations)
        full = _TURNED[rank](x, w, None, strides, 0, 0, groups, dilations)
        cut = pad_spatial(
            full, tuple(-p for p in before), tuple(o - p for o, p in zip(more, after, strict=True))
        )
        return cut if b is None else cut + b.reshape(-1, *(1,) * rank)

    return kernel


def _pads(
    window: Window, inputs: torch.Size, strides: Ints, sizes: Ints, more: Ints, wanted: Ints | None
) -> tuple[Ints, Ints]:
    """How much is cut before and after, of an output of these sizes and this extra."""
    rank = len(sizes)
    if wanted is None and window.auto in {"NOTSET", "VALID"}:
        pads = window.pads if window.auto == "NOTSET" and window.pads else (0,) * (2 * rank)
        return pads[:rank], pads[rank:]
    goal = wanted[-rank:] if wanted else tuple(n * s for n, s in zip(inputs, strides, strict=True))
    totals = [size + extra - g for size, extra, g in zip(sizes, more, goal, strict=True)]
    less, rest = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
    return (less, rest) if window.auto == "SAME_UPPER" else (rest, less)
