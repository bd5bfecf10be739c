"""Weights in blocks along the inner axis, each with a scale and a zero-point, as MatMulNBits reads them.

Two 4-bit numbers share a byte, the first in the low half. A weight is ``(integer - zero_point) * scale``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...core.tensors import PART_ELEMENTS, Array

Integers = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.float32]

_SMALLEST_SCALE = 1e-30


@dataclass(frozen=True)
class BlockFormat:
    """How a weight is cut and rounded.

    Attributes:
        bits: 4 or 8.
        block_size: Weights along the inner axis that share a scale.
        symmetric: Whether the zero-point is always the middle.
    """

    bits: int
    block_size: int
    symmetric: bool = False

    @property
    def top(self) -> int:
        """The largest integer; the smallest is 0."""
        return int(2**self.bits - 1)

    @property
    def middle(self) -> int:
        """The zero-point of a symmetric block."""
        return int(2 ** (self.bits - 1))


@dataclass(frozen=True)
class Blocks:
    """A weight of shape ``(K, N)`` in blocks along ``K``.

    Attributes:
        packed: The integers, shape ``(N, blocks, block_size * bits / 8)``.
        scales: Shape ``(N, blocks)``, all above zero.
        zero_points: Shape ``(N, blocks)``, one number each, not packed; float32 where they are no integers.
    """

    packed: Integers
    scales: Numbers
    zero_points: Integers | Numbers

    def nbytes(self, form: BlockFormat) -> int:
        """Bytes that are stored: a symmetric zero-point is not."""
        return sum(array.nbytes for array in self.stored(form).values())

    def columns(self, which: slice) -> Blocks:
        """The blocks of some columns of the weight."""
        return Blocks(self.packed[which], self.scales[which], self.zero_points[which])

    def stored(self, form: BlockFormat) -> dict[str, Array]:
        """What is written into a model, by the word that its name ends in."""
        arrays: dict[str, Array] = {"packed": self.packed, "scales": self.scales}
        if self.zero_points.dtype != np.uint8:
            arrays["zero_points"] = self.zero_points
        elif not form.symmetric:
            arrays["zero_points"] = pack(np.asarray(self.zero_points, np.uint8), form.bits)
        return arrays


def cut(weight: Array, block_size: int) -> Numbers:
    """A weight of shape ``(K, N)`` as ``(N, blocks, block_size)``, filled up with zeros."""
    rows, columns = weight.shape
    count = -(-rows // block_size)
    blocks = np.zeros((columns, count * block_size), np.float32)
    blocks[:, :rows] = weight.T
    return blocks.reshape(columns, count, block_size)


def block_parameters(blocks: Array, form: BlockFormat) -> tuple[Numbers, Integers]:
    """Scale and zero-point of each block, from its smallest and largest number and zero.

    Args:
        blocks: Shape ``(..., block_size)``.
        form: Bits, and whether zero-points are the middle.

    Returns:
        Two arrays of shape ``(...)``; no scale is zero.
    """
    low, high = np.minimum(blocks.min(-1), 0.0), np.maximum(blocks.max(-1), 0.0)
    own = np.maximum(-low / form.middle, high / (form.middle - 1))
    scales = own if form.symmetric else (high - low) / np.float32(form.top)
    scales = np.where(scales < _SMALLEST_SCALE, 1.0, scales).astype(np.float32)
    if form.symmetric:
        return scales, np.full(scales.shape, form.middle, np.uint8)
    return scales, np.clip(np.rint(-low / scales), 0, form.top).astype(np.uint8)


def nearest(numbers: Array, scales: Array, zero_points: Array, top: int) -> Integers:
    """The nearest integers; halves go up. All arguments broadcast."""
    steps = np.floor(numbers / scales + zero_points.astype(np.float32) + np.float32(0.5))
    return np.clip(steps, 0, top).astype(np.uint8)


def quantize_blocks(weight: Array, form: BlockFormat) -> Blocks:
    """Round a weight to the nearest integers of its blocks.

    Args:
        weight: Finite numbers, shape ``(K, N)``.
        form: How.
    """
    return in_parts(weight, lambda part: _nearest_blocks(part, form))


def _nearest_blocks(weight: Array, form: BlockFormat) -> Blocks:
    blocks = cut(weight, form.block_size)
    scales, zeros = block_parameters(blocks, form)
    integers = nearest(blocks, scales[..., None], zeros[..., None], form.top)
    return Blocks(pack(integers, form.bits), scales, zeros)


def in_parts(weight: Array, quantize: Callable[[Array], Blocks]) -> Blocks:
    """Quantize a weight some columns at a time, where no column has anything to do with another.

    Args:
        weight: Shape ``(K, N)``.
        quantize: Makes blocks of some of its columns.
    """
    parts = [quantize(weight[:, columns]) for columns in column_parts(weight)]
    if len(parts) == 1:
        return parts[0]
    return Blocks(
        np.concatenate([part.packed for part in parts]),
        np.concatenate([part.scales for part in parts]),
        np.concatenate([part.zero_points for part in parts]),
    )


def column_parts(weight: Array) -> list[slice]:
    """The columns of a weight of shape ``(K, N)``, as many together as :data:`PART_ELEMENTS` admits."""
    step = max(1, PART_ELEMENTS // max(len(weight), 1))
    return [slice(first, first + step) for first in range(0, max(weight.shape[1], 1), step)]


def restore_blocks(blocks: Blocks, rows: int, bits: int) -> Numbers:
    """The weight that the blocks stand for, shape ``(rows, N)``."""
    integers = unpack(blocks.packed, bits).astype(np.float32)
    values = (integers - blocks.zero_points[..., None]) * blocks.scales[..., None]
    restored: Numbers = values.reshape(len(values), -1).T[:rows]
    return restored


def pack(integers: Integers, bits: int) -> Integers:
    """Two 4-bit numbers to a byte along the last axis, the first in the low half; an odd end is filled with 8."""
    if bits == 8:
        return integers
    if integers.shape[-1] % 2:
        integers = np.concatenate([integers, np.full((*integers.shape[:-1], 1), 8, np.uint8)], axis=-1)
    return np.asarray(integers[..., 0::2] | (integers[..., 1::2] << 4), np.uint8)


def unpack(packed: Integers, bits: int) -> Integers:
    """The integers of :func:`pack`, an odd end included."""
    if bits == 8:
        return packed
    return np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], -1)
