"""Operators that work on each element by itself, or on pairs of elements under broadcasting."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from ..plan import Kernel, NodePlan

Tensor = torch.Tensor


def plain(function: Callable[..., Any]) -> Callable[[NodePlan], Kernel]:
    """The plan of an operator without attributes that a torch function computes as it is."""

    def plan(node: NodePlan) -> Kernel:
        return function

    return plan


def reduce_by(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[NodePlan], Kernel]:
    """The plan of an operator of any number of inputs, joined two by two."""

    def kernel(*values: Tensor) -> Tensor:
        return functools.reduce(function, values)

    return plain(kernel)


def mean(*values: Tensor) -> Tensor:
    """Mean."""
    return functools.reduce(torch.add, values) / len(values)


def gelu(node: NodePlan) -> Kernel:
    """Gelu, exact or by tanh."""
    approximate = node.text("approximate", "none")
    return lambda x: functional.gelu(x, approximate=approximate)


def softplus(x: Tensor) -> Tensor:
    """Softplus; torch's own becomes linear at 20, where a double still sees the difference."""
    return functional.softplus(x, threshold=50.0)


def leaky_relu(node: NodePlan) -> Kernel:
    """LeakyRelu."""
    slope = node.number("alpha", 0.01)
    return lambda x: functional.leaky_relu(x, slope)


def elu(node: NodePlan) -> Kernel:
    """Elu."""
    alpha = node.number("alpha", 1.0)
    return lambda x: functional.elu(x, alpha)


def celu(node: NodePlan) -> Kernel:
    """Celu."""
    alpha = node.number("alpha", 1.0)
    return lambda x: functional.celu(x, alpha)


def selu(node: NodePlan) -> Kernel:
    """Selu, with its constants as attributes."""
    alpha = node.number("alpha", 1.6732632423543772)
    gamma = node.number("gamma", 1.0507009873554805)
    return lambda x: gamma * functional.elu(x, alpha)


def hard_sigmoid(node: NodePlan) -> Kernel:
    """HardSigmoid: ``clamp(alpha x + beta, 0, 1)``."""
    alpha, beta = node.number("alpha", 0.2), node.number("beta", 0.5)
    return lambda x: (x * alpha + beta).clamp(0.0, 1.0)


def hard_swish(x: Tensor) -> Tensor:
    """HardSwish."""
    return functional.hardswish(x)


def thresholded_relu(node: NodePlan) -> Kernel:
    """ThresholdedRelu."""
    alpha = node.number("alpha", 1.0)
    return lambda x: functional.threshold(x, alpha, 0.0)


def swish(node: NodePlan) -> Kernel:
    """Swish and QuickGelu: ``x sigmoid(alpha x)``."""
    alpha = node.number("alpha", 1.0 if node.node.domain == "" else 1.702)
    return functional.silu if alpha == 1.0 else lambda x: x * torch.sigmoid(x * alpha)


def bias_gelu(x: Tensor, bias: Tensor) -> Tensor:
    """BiasGelu."""
    return functional.gelu(x + bias)


def fast_gelu(x: Tensor, bias: Tensor | None = None) -> Tensor:
    """FastGelu: by tanh, with a bias where there is one."""
    return functional.gelu(x if bias is None else x + bias, approximate="tanh")


def shrink(node: NodePlan) -> Kernel:
    """Shrink."""
    bias, bound = node.number("bias", 0.0), node.number("lambd", 0.5)

    def kernel(x: Tensor) -> Tensor:
        zero = torch.zeros_like(x)
        return torch.where(x < -bound, x + bias, torch.where(x > bound, x - bias, zero)).to(x.dtype)

    return kernel


def clip_by_attributes(node: NodePlan) -> Kernel:
    """Clip before version 11: the bounds are attributes."""
    low, high = node.number("min", float("-inf")), node.number("max", float("inf"))
    return lambda x: torch.clamp(x, low, high)


def clip(node: NodePlan) -> Kernel:
    """Clip: the bounds are inputs, each of which may be left out."""
    bounds = [node.constant(i) for i in (1, 2)]
    if any(node.has(i) and bound is None for i, bound in zip((1, 2), bounds, strict=True)):
        return _clip_by_tensors
    low, high = (None if b is None else b.reshape(-1)[0].item() for b in bounds)
    if low is None and high is None:
        return _same
    return lambda x, *_: torch.clamp(x, low, high)


def _clip_by_tensors(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    # In this order the upper bound wins where the two cross, as the specification says.
    x = x if low is None else torch.maximum(x, low)
    return x if high is None else torch.minimum(x, high)


def _same(x: Tensor, *_: Any) -> Tensor:
    return x


def dropout(node: NodePlan) -> Kernel:
    """Dropout with its ratio as an input (from version 12 on); drops only where the mode says so."""
    ratio = node.read_number(1)
    if node.has(2) and node.constant(2) is None:
        node.refuse("an input decides whether it drops")
    node.asks_mode = True

    def kernel(x: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
        share = ratio(others[0] if len(others) > 1 else None)
        return _drop(x, 0.5 if share is None else float(share), others[-1].dropout)

    return kernel


def dropout_by_attribute(node: NodePlan) -> Kernel:
    """Dropout with its ratio as an attribute (versions 7 to 11)."""
    share = node.number("ratio", 0.5)
    node.asks_mode = True
    return lambda x, mode: _drop(x, share, mode.dropout)


def _drop(x: Tensor, share: float, drops: bool) -> tuple[Tensor, Tensor]:
    if not drops or share == 0.0:
        return x, torch.ones_like(x, dtype=torch.bool)
    kept = torch.rand_like(x) >= share
    return x * kept / (1.0 - share), kept


def divide(a: Tensor, b: Tensor) -> Tensor:
    """Div; integers are truncated towards zero."""
    return torch.div(a, b) if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def power(a: Tensor, b: Tensor) -> Tensor:
    """Pow; the result has the type of the base."""
    return torch.pow(a, b).to(a.dtype)


def modulo(node: NodePlan) -> Kernel:
    """Mod: the sign is the divisor's, or the dividend's with ``fmod``."""
    return torch.fmod if node.integer("fmod", 0) else torch.remainder


def bit_shift(node: NodePlan) -> Kernel:
    """BitShift."""
    return torch.bitwise_left_shift if node.text("direction", "") == "LEFT" else torch.bitwise_right_shift


def is_infinite(node: NodePlan) -> Kernel:
    """IsInf, either sign or one."""
    negative, positive = bool(node.integer("detect_negative", 1)), bool(node.integer("detect_positive", 1))
    if negative and positive:
        return torch.isinf
    if negative or positive:
        return torch.isneginf if negative else torch.isposinf
    return lambda x: torch.zeros_like(x, dtype=torch.bool)


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """PRelu: the slope is broadcast to the input; one slope for each channel is a kernel of torch."""
    if slope.numel() == 1:
        return functional.prelu(x, slope.reshape(1).to(x.dtype))
    is_per_channel = slope.dim() == x.dim() - 1 and slope.numel() == slope.shape[0] == x.shape[1]
    if is_per_channel and x.is_floating_point():
        return functional.prelu(x, slope.reshape(-1))
    return torch.where(x >= 0, x, x * slope)


def select(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Where."""
    return torch.where(condition, a, b)
