"""Rounding blocks so that the layer's output changes least.

Weights are rounded along the inner axis one input after the other; what an input has lost is taken over by those that
follow, as the second moments of the inputs say they can (Frantar et al., "GPTQ: Accurate Post-Training Quantization
for Generative Pre-trained Transformers", 2023, §3). The scale of a block is chosen when its turn comes, from what its
weights have become. An output column that is worse than its nearest integers keeps those. Zero weights stay zero.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.linalg

from ...core.tensors import Array
from .blocks import (
    BlockFormat,
    Blocks,
    Integers,
    Numbers,
    block_parameters,
    nearest,
    pack,
    quantize_blocks,
    restore_blocks,
)
from .weight_errors import decibels

Matrix = npt.NDArray[np.float64]

_RIDGE = 1e-2
"""Added to the moments' diagonal, as a share of its mean (the paper's dampening)."""


def round_blocks(weight: Array, gram: Matrix, form: BlockFormat) -> tuple[Blocks, float]:
    """The integers, scales and zero-points of a weight.

    Args:
        weight: Finite numbers, shape ``(K, N)``.
        gram: Second moments of what the layer reads, shape ``(K, K)``.
        form: How the weight is cut and rounded.

    Returns:
        The blocks, and by how many decibels the layer's output error is below that of nearest integers, never
        less than 0.
    """
    plain = quantize_blocks(weight, form)
    if not np.diag(gram).any():
        return plain, 0.0
    found = _sequential(weight, gram, form)
    costs = [_costs(weight - restore_blocks(b, len(weight), form.bits), gram) for b in (plain, found)]
    wins = costs[1] < costs[0]
    chosen = Blocks(
        np.where(wins[:, None, None], found.packed, plain.packed),
        np.where(wins[:, None], found.scales, plain.scales),
        np.where(wins[:, None], found.zero_points, plain.zero_points),
    )
    best = float(np.minimum(*costs).sum())
    return chosen, decibels(float(costs[0].sum()), best) if best > 0.0 else 0.0


def _costs(differences: Array, gram: Matrix) -> npt.NDArray[np.float64]:
    """Output energy of each column of a difference."""
    exact = differences.astype(np.float64)
    return np.asarray(np.einsum("kn,kn->n", gram @ exact, exact))


def _sequential(weight: Array, gram: Matrix, form: BlockFormat) -> Blocks:
    rows, columns = weight.shape
    size = form.block_size
    factor = _take_over(gram)
    count = -(-rows // size)
    work = weight.T.astype(np.float64)
    free = work != 0.0
    integers = np.zeros((columns, count, size), np.uint8)
    scales = np.zeros((columns, count), np.float32)
    zeros = np.zeros((columns, count), np.uint8)
    for index in range(count):
        start, end = index * size, min((index + 1) * size, rows)
        scales[:, index], zeros[:, index] = block_parameters(work[:, start:end], form)
        parameters = scales[:, index], zeros[:, index]
        block, errors = _round_block(
            work[:, start:end], free[:, start:end], factor[start:end, start:end], parameters, form.top
        )
        integers[:, index] = zeros[:, index, None]  # what fills up the last block stands for zero
        integers[:, index, : end - start] = block
        work[:, end:] -= errors @ factor[start:end, end:]
    return Blocks(pack(integers, form.bits), scales, zeros)


def _round_block(
    work: Matrix,
    free: npt.NDArray[np.bool_],
    factor: Matrix,
    parameters: tuple[Numbers, Integers],
    top: int,
) -> tuple[Integers, Matrix]:
    """Integers of one block, shape ``(N, inputs)``, and the errors that later inputs take over."""
    scale, zero = parameters
    step, offset = scale.astype(np.float64), zero.astype(np.float64)
    rest = work.copy()
    integers = np.empty(rest.shape, np.uint8)
    errors = np.empty(rest.shape)
    for column in range(rest.shape[1]):
        found = nearest(rest[:, column], step, offset, top)
        found = np.where(free[:, column], found, zero)
        integers[:, column] = found
        errors[:, column] = (rest[:, column] - (found - offset) * step) / factor[column, column]
        rest[:, column:] -= np.outer(errors[:, column], factor[column, column:])
    return integers, errors


def _take_over(gram: Matrix) -> Matrix:
    """The upper Cholesky factor of the inverse moments: how far each input makes up for the ones before it."""
    ridge = _RIDGE * float(np.trace(gram)) / len(gram)
    lower = scipy.linalg.cholesky(gram + np.eye(len(gram)) * ridge, lower=True)
    inverse = scipy.linalg.cho_solve((lower, True), np.eye(len(gram)))
    factor: Matrix = scipy.linalg.cholesky((inverse + inverse.T) / 2, lower=False)
    return factor
