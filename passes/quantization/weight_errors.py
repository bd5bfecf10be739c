"""What rounding costs a weight."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...core.tensors import Array
from .blocks import Blocks, column_parts, restore_blocks

_TINY = 1e-30


@dataclass(frozen=True)
class WeightError:
    """The error of one weight.

    Attributes:
        node: The node it belongs to.
        sqnr_db: Signal to quantization noise of the weight in decibels.
        size_bytes: Bytes of integers, scales and zero-points.
        rounding: How its integers were chosen.
        output_gain_db: By how much the error of the layer's output fell against nearest integers, on the samples;
            None where nothing was measured.
    """

    node: str
    sqnr_db: float
    size_bytes: int
    rounding: str = "nearest"
    output_gain_db: float | None = None


def decibels(signal: float, noise: float) -> float:
    """A ratio of squares in decibels."""
    return 10 * math.log10(max(signal, _TINY) / max(noise, _TINY))


def sqnr_db(weight: Array, restored: Array) -> float:
    """Signal to quantization noise of a weight, both of the same shape."""
    signal = float(np.sum(np.square(weight), dtype=np.float64))
    return decibels(signal, float(np.sum(np.square(weight - restored), dtype=np.float64)))


def blocks_sqnr_db(weight: Array, blocks: Blocks, bits: int) -> float:
    """Signal to quantization noise of a weight of shape ``(K, N)`` in blocks."""
    signal = noise = 0.0
    for columns in column_parts(weight):
        part = weight[:, columns]
        lost = part - restore_blocks(blocks.columns(columns), len(part), bits)
        signal += float(np.sum(np.square(part), dtype=np.float64))
        noise += float(np.sum(np.square(lost), dtype=np.float64))
    return decibels(signal, noise)
