"""Normalizations, and Softmax and its kin."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from ..plan import Kernel, Mode, NodePlan

Tensor = torch.Tensor


def batch_normalization(node: NodePlan) -> Kernel:
    """BatchNormalization: frozen statistics, or the batch's where the mode or the node says so.

    The running variance moves towards the batch's biased one, as the specification says (torch's is unbiased).
    """
    epsilon, momentum = node.number("epsilon", 1e-5), node.number("momentum", 0.9)
    always = node.opset >= 14 and bool(node.integer("training_mode", 0))
    if not node.integer("spatial", 1):
        node.refuse("statistics for each position (spatial=0) are not supported")
    node.asks_mode = True
    outputs = len(node.node.outputs)

    def kernel(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, mode: Mode) -> Any:
        if not always and not mode.statistics:
            y = functional.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon)
            return (y, *(mean, variance) * 2)[:outputs]
        centre, spread = torch.empty_like(mean), torch.empty_like(variance)
        y = functional.batch_norm(x, centre, spread, scale, bias, True, 1.0, epsilon)
        count = x.numel() // x.shape[1]
        with torch.no_grad():
            moved = mean * momentum + centre * (1 - momentum)
            widened = variance * momentum + spread * ((1 - momentum) * (count - 1) / count)
            if mode.statistics:
                mean.copy_(moved)
                variance.copy_(widened)
        return (y, moved, widened)[:outputs]

    return kernel


def instance_normalization(node: NodePlan) -> Kernel:
    """InstanceNormalization."""
    epsilon = node.number("epsilon", 1e-5)
    return lambda x, scale, bias: functional.instance_norm(x, None, None, scale, bias, True, 0.0, epsilon)


def layer_normalization(node: NodePlan) -> Kernel:
    """LayerNormalization, with the mean and the inverse deviation where they are read."""
    axis, epsilon = node.integer("axis", -1), node.number("epsilon", 1e-5)
    wants_more = node.wants(1) or node.wants(2)

    def kernel(x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Any:
        first = axis % x.dim()
        shape = x.shape[first:]
        fits = scale.shape == shape and (bias is None or bias.shape == shape)
        if fits and scale.dtype == x.dtype:
            y = functional.layer_norm(x, shape, scale, bias, epsilon)
        else:
            y = functional.layer_norm(x, shape, None, None, epsilon) * scale
            y = y if bias is None else y + bias
        if not wants_more:
            return (y,)
        spread, mean = torch.var_mean(_wide(x), list(range(first, x.dim())), correction=0, keepdim=True)
        return y, mean, torch.rsqrt(spread + epsilon)

    return kernel


def rms_normalization(node: NodePlan) -> Kernel:
    """RMSNormalization and SimplifiedLayerNormalization: no mean is taken off."""
    axis, epsilon = node.integer("axis", -1), node.number("epsilon", 1e-5)

    def kernel(x: Tensor, scale: Tensor) -> Any:
        wide = _wide(x)
        square = wide.square().mean(dim=list(range(axis % x.dim(), x.dim())), keepdim=True)
        inverse = torch.rsqrt(square + epsilon)
        return (wide * inverse).to(x.dtype) * scale, inverse

    return kernel


def skip_layer_normalization(node: NodePlan) -> Kernel:
    """SkipLayerNormalization of com.microsoft: the sum of input, skip and bias, normalized; the sum is output 3."""
    epsilon, wants_more = node.number("epsilon", 1e-5), node.wants(1) or node.wants(2)

    def kernel(
        x: Tensor, skip: Tensor, scale: Tensor, shift: Tensor | None = None, bias: Tensor | None = None
    ) -> Any:
        total = x + skip if bias is None else x + skip + bias
        y = functional.layer_norm(total, total.shape[-1:], scale, shift, epsilon)
        if not wants_more:
            return y, None, None, total
        spread, mean = torch.var_mean(total, -1, correction=0, keepdim=True)
        return y, mean, torch.rsqrt(spread + epsilon), total

    return kernel


def skip_rms_normalization(node: NodePlan) -> Kernel:
    """SkipSimplifiedLayerNormalization of com.microsoft."""
    inner = rms_normalization(node)

    def kernel(x: Tensor, skip: Tensor, scale: Tensor, bias: Tensor | None = None) -> Any:
        total = x + skip if bias is None else x + skip + bias
        y, inverse = inner(total, scale)
        return y, None, inverse, total

    return kernel


def group_normalization(node: NodePlan) -> Kernel:
    """GroupNormalization; before version 21 scale and bias are those of a group, from it on of a channel."""
    epsilon, groups = node.number("epsilon", 1e-5), node.integer("num_groups", 1)
    is_per_group = node.opset < 21

    def kernel(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        if is_per_group:
            repeats = x.shape[1] // groups
            scale, bias = scale.repeat_interleave(repeats), bias.repeat_interleave(repeats)
        return functional.group_norm(x, groups, scale, bias, epsilon)

    return kernel


def local_response(node: NodePlan) -> Kernel:
    """LRN: divided by a power of the squares of its neighbours across channels."""
    alpha, beta, bias = node.number("alpha", 1e-4), node.number("beta", 0.75), node.number("bias", 1.0)
    size = node.integer("size", 1)
    before, after = (size - 1) // 2, math.ceil((size - 1) / 2)

    def kernel(x: Tensor) -> Tensor:
        padded = functional.pad(x.square().movedim(1, -1), (before, after))
        total = padded.unfold(-1, size, 1).sum(-1).movedim(-1, 1)
        return x / (bias + alpha / size * total).pow(beta)

    return kernel


def lp_normalization(node: NodePlan) -> Kernel:
    """LpNormalization; where the norm is zero, so is the result."""
    axis, power = node.integer("axis", -1), node.integer("p", 2)

    def kernel(x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, power, dim=axis, keepdim=True)
        return torch.where(
            norm == 0, torch.zeros_like(x), x / torch.where(norm == 0, torch.ones_like(norm), norm)
        )

    return kernel


def mean_variance(node: NodePlan) -> Kernel:
    """MeanVarianceNormalization."""
    axes = list(node.ints("axes") or (0, 2, 3))

    def kernel(x: Tensor) -> Tensor:
        spread, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
        return (x - mean) / (spread.sqrt() + 1e-9)

    return kernel


def along_axis(function: Callable[..., Tensor]) -> Callable[[NodePlan], Kernel]:
    """The plan of Softmax, LogSoftmax and Hardmax from version 13 on: one axis."""

    def plan(node: NodePlan) -> Kernel:
        axis = node.integer("axis", -1)
        return lambda x: function(x, axis)

    return plan


def over_tail(function: Callable[..., Tensor]) -> Callable[[NodePlan], Kernel]:
    """The plan of the same before version 13: all axes from one on, together."""

    def plan(node: NodePlan) -> Kernel:
        axis = node.integer("axis", 1)

        def kernel(x: Tensor) -> Tensor:
            first = axis % x.dim()
            if first == x.dim() - 1:
                return function(x, first)
            return function(x.flatten(first), first).reshape(x.shape)

        return kernel

    return plan


def hardmax(x: Tensor, axis: int) -> Tensor:
    """One at the first largest element of an axis, zero elsewhere."""
    best = x.argmax(axis, keepdim=True)
    return torch.zeros_like(x).scatter(axis, best, 1)


def _wide(x: Tensor) -> Tensor:
    """Statistics of half precision are computed in single precision."""
    return x.float() if x.element_size() < 4 else x
