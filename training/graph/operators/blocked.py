"""Weights in blocks of few bits, as the runtime's own operators store them: the scales can be trained."""

from __future__ import annotations

import onnx_ir as ir
import torch
from torch.nn import functional

from ..plan import Kernel, NodePlan

Tensor = torch.Tensor


def matmul_in_blocks(node: NodePlan) -> Kernel:
    """MatMulNBits of com.microsoft: the weight, transposed, in blocks along its rows."""
    rows, columns = node.integer("K", 0), node.integer("N", 0)
    bits, block = node.integer("bits", 4), node.integer("block_size", 32)
    if bits not in (2, 4, 8) or node.has(4):
        node.refuse(f"{bits} bits, or rows in another order, are not supported")
    blocks = -(-rows // block)

    def kernel(x: Tensor, packed: Tensor, scales: Tensor, *others: Tensor | None) -> Tensor:
        zeros, _, bias = (*others, None, None, None)[:3]
        whole = unpack(packed.reshape(columns, blocks, -1), bits)
        weight = _restored(whole, scales.reshape(columns, blocks, 1), _zeros(zeros, (columns, blocks), bits))
        y = x @ weight.reshape(columns, -1)[:, :rows].t()
        return y if bias is None else y + bias

    return kernel


def gather_in_blocks(node: NodePlan) -> Kernel:
    """GatherBlockQuantized of com.microsoft: rows of a packed table, in blocks along the row."""
    bits, block = node.integer("bits", 4), node.integer("block_size", 128)
    axes = node.integer("gather_axis", 0), node.integer("quantize_axis", 1)
    if bits not in (2, 4, 8) or axes != (0, 1) or node.dtype(0) != ir.DataType.UINT8:
        node.refuse("only tables of bytes, looked up by row, are supported")

    def kernel(packed: Tensor, index: Tensor, scales: Tensor, zeros: Tensor | None = None) -> Tensor:
        places = index.reshape(-1).to(torch.int64)
        whole = unpack(packed.index_select(0, places), bits)
        shift = _zeros(zeros, tuple(scales.shape), bits)
        if isinstance(shift, Tensor):
            shift = shift.index_select(0, places)
        width, count = whole.shape[1], scales.shape[1]
        blocks = functional.pad(whole, (0, count * block - width)).reshape(-1, count, block)
        values = _restored(blocks, scales.index_select(0, places).unsqueeze(-1), shift)
        return values.flatten(1)[:, :width].reshape(*index.shape, width)

    return kernel


def unpack(packed: Tensor, bits: int) -> Tensor:
    """The numbers of each byte, lowest bits first: ``(..., bytes)`` to ``(..., bytes * 8 / bits)``."""
    if bits == 8:
        return packed.to(torch.int64)
    shifts = torch.arange(0, 8, bits, device=packed.device)
    parts: Tensor = (packed.to(torch.int64).unsqueeze(-1) >> shifts) & (2**bits - 1)
    return parts.flatten(-2)


def _zeros(zeros: Tensor | None, shape: tuple[int, ...], bits: int) -> Tensor | int:
    """The zero point of each block, with an axis for its elements; the middle where none is stored."""
    if zeros is None:
        return 1 << (bits - 1)
    if zeros.is_floating_point():
        return zeros.reshape(shape).unsqueeze(-1)
    whole: Tensor = unpack(zeros.reshape(*shape[:-1], -1), bits).narrow(-1, 0, shape[-1])
    return whole.unsqueeze(-1)


def _restored(whole: Tensor, scales: Tensor, shift: Tensor | int) -> Tensor:
    shifted: Tensor = (whole - shift).to(scales.dtype) * scales
    return shifted
