"""What convolutions and poolings share: where a window starts and how far the input is padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from ..plan import Ints, NodePlan


@dataclass(frozen=True)
class Window:
    """Geometry of a sliding window, as a node states it.

    Attributes:
        auto: ``NOTSET``, ``VALID``, ``SAME_UPPER`` or ``SAME_LOWER``.
        kernel: Size along each spatial axis; None where the weight says it.
        strides: Steps; None for ones.
        dilations: Distances within the window; None for ones.
        pads: All starts, then all ends; None for zeros.
    """

    auto: str
    kernel: Ints | None
    strides: Ints | None
    dilations: Ints | None
    pads: Ints | None

    @classmethod
    def of(cls, node: NodePlan) -> Window:
        """Read a node's attributes."""
        auto = node.text("auto_pad", "NOTSET") or "NOTSET"
        if auto not in {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"}:
            node.refuse(f"auto_pad {auto!r} is unknown")
        return cls(
            auto, node.ints("kernel_shape"), node.ints("strides"), node.ints("dilations"), node.ints("pads")
        )

    def at(self, sizes: Sequence[int], kernel: Sequence[int]) -> tuple[Ints, Ints, Ints, Ints]:
        """Strides, dilations, pads before and pads after, for an input of these spatial sizes."""
        rank = len(kernel)
        strides, dilations = self.strides or (1,) * rank, self.dilations or (1,) * rank
        if self.auto == "VALID" or (self.auto == "NOTSET" and self.pads is None):
            return strides, dilations, (0,) * rank, (0,) * rank
        if self.auto == "NOTSET":
            pads = self.pads or ()
            return strides, dilations, pads[:rank], pads[rank:]
        totals = [
            max((-(-size // step) - 1) * step + (k - 1) * spread + 1 - size, 0)
            for size, k, step, spread in zip(sizes, kernel, strides, dilations, strict=True)
        ]
        less, more = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
        return (
            (strides, dilations, less, more)
            if self.auto == "SAME_UPPER"
            else (strides, dilations, more, less)
        )


def pad_spatial(x: torch.Tensor, before: Ints, after: Ints, value: float = 0.0) -> torch.Tensor:
    """Pad the last axes; torch counts from the last one."""
    if not any(before) and not any(after):
        return x
    pairs = [n for pair in zip(reversed(before), reversed(after), strict=True) for n in pair]
    return functional.pad(x, pairs, value=value)
