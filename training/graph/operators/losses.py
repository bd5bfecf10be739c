"""Losses that are part of a graph."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from ..plan import Kernel, NodePlan

Tensor = torch.Tensor


def negative_log_likelihood(node: NodePlan) -> Kernel:
    """NegativeLogLikelihoodLoss."""
    reduction, ignored = node.text("reduction", "mean"), node.integer("ignore_index", -(2**31))

    def kernel(x: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        return functional.nll_loss(
            x, target.to(torch.int64), weight, ignore_index=ignored, reduction=reduction
        )

    return kernel


def softmax_cross_entropy(node: NodePlan) -> Kernel:
    """SoftmaxCrossEntropyLoss, and the logarithms of the probabilities."""
    inner = negative_log_likelihood(node)

    def kernel(x: Tensor, target: Tensor, weight: Tensor | None = None) -> tuple[Any, ...]:
        logarithms = torch.log_softmax(x, 1)
        return inner(logarithms, target, weight), logarithms

    return kernel
