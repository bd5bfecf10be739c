"""Zero-points that suit most weights of a block instead of all of them; no samples needed.

The error of a block is split in a sparse part, which outliers may keep, and the rest, and both are solved for in turn
(H. Badri and A. Shaji, "Half-Quadratic Quantization of Large Machine Learning Models", 2023): the sparse part by
shrinkage for an ``l_p`` norm with ``p < 1``, the zero-point as a mean. Scales stay those of the block's range.

The zero-points are no integers. ONNX Runtime's CPU kernel then dequantizes the whole weight in every run: measured with
1024 by 4096 weights and one row of input, 15 times slower than with integers.
"""

from __future__ import annotations

import numpy as np

from ...core.tensors import Array
from .blocks import BlockFormat, Blocks, Numbers, block_parameters, cut, in_parts, nearest, pack

_NORM = 0.7
_BETA = 10.0
_GROWTH = 1.01
_STEPS = 20
_SMALL = np.float32(1e-8)


def half_quadratic(weight: Array, form: BlockFormat) -> Blocks:
    """Blocks whose zero-points are float32 numbers.

    A weight of zero becomes a small number other than zero: what was pruned away comes back.

    Args:
        weight: Finite numbers, shape ``(K, N)``.
        form: How the weight is cut; not symmetric.

    Returns:
        For each block the zero-point with the least mean absolute error of all steps, the nearest-rounding one
        being the first.
    """
    return in_parts(weight, lambda part: _half_quadratic(part, form))


def _half_quadratic(weight: Array, form: BlockFormat) -> Blocks:
    blocks = cut(weight, form.block_size)
    scales, whole = block_parameters(blocks, form)
    steps = scales[..., None]
    zeros = whole.astype(np.float32)
    best, least = zeros, np.full(scales.shape, np.inf, np.float32)
    beta = _BETA
    for _ in range(_STEPS):
        integers = nearest(blocks, steps, zeros[..., None], form.top).astype(np.float32)
        errors = blocks - (integers - zeros[..., None]) * steps
        found = np.abs(errors).mean(-1)
        best, least = np.where(found < least, zeros, best), np.minimum(found, least)
        kept = _shrink(errors, np.float32(beta))
        zeros = (integers - (blocks - kept) / steps).mean(-1).astype(np.float32)
        beta *= _GROWTH
    return Blocks(pack(nearest(blocks, steps, best[..., None], form.top), form.bits), scales, best)


def _shrink(errors: Numbers, beta: np.float32) -> Numbers:
    """The sparse part of the errors: what remains of each when the shrinkage of its size is taken off."""
    size = np.abs(errors)
    left = np.maximum(size - (size + _SMALL) ** np.float32(_NORM - 1) / beta, np.float32(0.0))
    return np.asarray(np.sign(errors) * left, np.float32)
