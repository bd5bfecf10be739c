"""Products of matrices."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from ..plan import Kernel, NodePlan

Tensor = torch.Tensor


def gemm(node: NodePlan) -> Kernel:
    """Gemm: ``alpha A' B' + beta C``."""
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    turn_a, turn_b = bool(node.integer("transA", 0)), bool(node.integer("transB", 0))
    if alpha == 1.0 and beta == 1.0 and turn_b and not turn_a:
        return _linear

    def kernel(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        product = torch.matmul(a.t() if turn_a else a, b.t() if turn_b else b)
        if alpha != 1.0:
            product = _scaled(product, alpha)
        if c is None or beta == 0.0:
            return product
        return product + (c if beta == 1.0 else _scaled(c, beta))

    return kernel


def _linear(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    if c is None or c.dim() == 1:
        return functional.linear(a, b, c if c is None or c.shape[0] == b.shape[0] else c.expand(b.shape[0]))
    return functional.linear(a, b) + c


def _scaled(x: Tensor, factor: float) -> Tensor:
    return (x * factor).to(x.dtype)


def fused_matmul(node: NodePlan) -> Kernel:
    """FusedMatMul of com.microsoft: a product of transposed operands, times a number."""
    if node.integer("transBatchA", 0) or node.integer("transBatchB", 0):
        node.refuse("transposed batches are not supported")
    alpha = node.number("alpha", 1.0)
    turn_a, turn_b = bool(node.integer("transA", 0)), bool(node.integer("transB", 0))

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        a = a.transpose(-1, -2) if turn_a and a.dim() > 1 else a
        b = b.transpose(-1, -2) if turn_b and b.dim() > 1 else b
        product = torch.matmul(a, b)
        return product if alpha == 1.0 else product * alpha

    return kernel


def einsum(node: NodePlan) -> Kernel:
    """Einsum."""
    equation = node.text("equation", "").replace(" ", "")
    return lambda *operands: torch.einsum(equation, *operands)


def determinant(x: Tensor) -> Any:
    """Det."""
    return torch.linalg.det(x)
