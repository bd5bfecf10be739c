"""What a layer reads at some positions of its output: rows of features, so that the layer is a matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ..core.tensors import Array

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """How a convolution walks over its input.

    Attributes:
        kernel: Size of the kernel.
        strides: Step between positions.
        dilations: Step between taps.
        pads: Zeros before and after each axis; None where ``auto_pad`` says.
        pads_late: Where ``auto_pad`` says, whether the odd zero comes after.
        groups: Groups of channels.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...] | None
    pads_late: bool
    groups: int

    @classmethod
    def of(cls, node: ir.Node, weight_shape: Sequence[int]) -> Window:
        """From a Conv node."""
        kernel = tuple(weight_shape[2:])

        def ints(name: str, default: int, count: int) -> tuple[int, ...]:
            attribute = node.attributes.get(name)
            return (default,) * count if attribute is None else tuple(attribute.as_ints())

        automatic = node.attributes.get_string("auto_pad", "NOTSET")
        pads = None if str(automatic).startswith("SAME") else ints("pads", 0, 2 * len(kernel))
        return cls(
            kernel,
            ints("strides", 1, len(kernel)),
            ints("dilations", 1, len(kernel)),
            (0,) * (2 * len(kernel)) if automatic == "VALID" else pads,
            automatic == "SAME_UPPER",
            node.attributes.get_int("group", 1) or 1,
        )

    def padding(self, size: Sequence[int]) -> list[tuple[int, int]]:
        """Zeros before and after each spatial axis of an input of this size."""
        rank = len(self.kernel)
        if self.pads is not None:
            return [(self.pads[i], self.pads[i + rank]) for i in range(rank)]
        found = []
        for extent, kernel, stride, dilation in zip(
            size, self.kernel, self.strides, self.dilations, strict=True
        ):
            total = max((math.ceil(extent / stride) - 1) * stride + (kernel - 1) * dilation + 1 - extent, 0)
            small = total // 2
            found.append((small, total - small) if self.pads_late else (total - small, small))
        return found

    def output_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """The spatial size of the output for an input of this spatial size."""
        axes = zip(size, self.padding(size), self.kernel, self.strides, self.dilations, strict=True)
        return tuple((n + sum(pad) - (k - 1) * d - 1) // s + 1 for n, pad, k, s, d in axes)


def patches(array: Array, window: Window, positions: tuple[Index, ...]) -> npt.NDArray[np.float32]:
    """What a convolution reads for some of its outputs.

    Args:
        array: Its input, shape ``(samples, channels, *spatial)``.
        window: How it walks.
        positions: Sample and spatial position of each output, each of shape ``(rows,)``.

    Returns:
        Shape ``(rows, groups, channels of one * taps)``, in the order of the kernel's weights.
    """
    rank, rows = len(window.kernel), len(positions[0])
    padded = np.pad(array, [(0, 0), (0, 0), *window.padding(array.shape[2:])])
    index: list[Index] = [
        positions[0].reshape(-1, *[1] * (rank + 1)),
        np.arange(array.shape[1]).reshape(1, -1, *[1] * rank),
    ]
    for axis in range(rank):
        shape = [1] * (rank + 2)
        shape[axis + 2] = window.kernel[axis]
        taps = (np.arange(window.kernel[axis]) * window.dilations[axis]).reshape(shape)
        index.append((positions[axis + 1] * window.strides[axis]).reshape(-1, *[1] * (rank + 1)) + taps)
    return padded[tuple(index)].reshape(rows, window.groups, -1).astype(np.float32)
