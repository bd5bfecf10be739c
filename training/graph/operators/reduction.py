"""Reductions over axes, places of extremes, and running sums."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..plan import Ints, Kernel, NodePlan
from .shaping import read_list

Tensor = torch.Tensor

Reduce = Callable[[Tensor, Ints, bool], Tensor]


def over_axes(function: Reduce) -> Callable[[NodePlan], Kernel]:
    """The plan of a reduction; its axes are an attribute or an input, by version."""

    def plan(node: NodePlan) -> Kernel:
        keep, read = bool(node.integer("keepdims", 1)), read_list(node, "axes", 1)
        is_idle = bool(node.integer("noop_with_empty_axes", 0))

        def kernel(x: Tensor, axes: Tensor | None = None) -> Tensor:
            named = read(axes)
            if not named:
                named = () if is_idle else tuple(range(x.dim()))
            return function(x, named, keep)

        return kernel

    return plan


def total(x: Tensor, axes: Ints, keep: bool) -> Tensor:
    """Sum, of the type of its input."""
    return x.sum(axes, keep, dtype=x.dtype) if axes else x


def average(x: Tensor, axes: Ints, keep: bool) -> Tensor:
    """Mean; integers are truncated."""
    if not axes:
        return x
    if x.is_floating_point():
        return x.mean(axes, keep)
    return x.double().mean(axes, keep).trunc().to(x.dtype)


def largest(x: Tensor, axes: Ints, keep: bool) -> Tensor:
    """Maximum; of nothing, the lowest value of the type."""
    return _extreme(x, axes, keep, torch.amax, is_largest=True)


def smallest(x: Tensor, axes: Ints, keep: bool) -> Tensor:
    """Minimum; of nothing, the highest value of the type."""
    return _extreme(x, axes, keep, torch.amin, is_largest=False)


def product(x: Tensor, axes: Ints, keep: bool) -> Tensor:
    """Product."""
    for axis in sorted((a % x.dim() for a in axes), reverse=True):
        x = x.prod(axis, keepdim=keep, dtype=x.dtype)
    return x


def sum_of_magnitudes(x: Tensor, axes: Ints, keep: bool) -> Tensor:
    """ReduceL1."""
    return total(x.abs(), axes, keep)


def length(x: Tensor, axes: Ints, keep: bool) -> Tensor:
    """ReduceL2."""
    if not x.is_floating_point():
        return total(x.square(), axes, keep).double().sqrt().to(x.dtype)
    return torch.linalg.vector_norm(x, 2, axes, keep) if axes else x.abs()


def sum_of_squares(x: Tensor, axes: Ints, keep: bool) -> Tensor:
    """ReduceSumSquare."""
    return total(x.square(), axes, keep)


def log_of_sum(x: Tensor, axes: Ints, keep: bool) -> Tensor:
    """ReduceLogSum."""
    return total(x, axes, keep).log()


def log_of_sum_of_exponentials(x: Tensor, axes: Ints, keep: bool) -> Tensor:
    """ReduceLogSumExp."""
    return torch.logsumexp(x, axes, keep) if axes else x


def _extreme(
    x: Tensor, axes: Ints, keep: bool, function: Callable[..., Tensor], *, is_largest: bool
) -> Tensor:
    if not axes:
        return x
    if all(x.shape[a] for a in axes):
        return function(x, axes, keep)
    bound = _bound(x.dtype, is_largest=is_largest)
    shape = total(x, axes, keep).shape
    return torch.full(shape, bound, dtype=x.dtype, device=x.device)


def _bound(dtype: torch.dtype, *, is_largest: bool) -> float:
    """What the extreme of nothing is."""
    if dtype == torch.bool:
        return 0 if is_largest else 1
    if dtype.is_floating_point:
        return float("-inf") if is_largest else float("inf")
    limits = torch.iinfo(dtype)
    return limits.min if is_largest else limits.max


def arg_extreme(function: Callable[..., Tensor]) -> Callable[[NodePlan], Kernel]:
    """The plan of ArgMax and ArgMin; of equal values the first, or the last where the node says so."""

    def plan(node: NodePlan) -> Kernel:
        axis, keep = node.integer("axis", 0), bool(node.integer("keepdims", 1))
        is_last = bool(node.integer("select_last_index", 0))

        def kernel(x: Tensor) -> Tensor:
            if not is_last:
                return function(x, axis, keep)
            return x.shape[axis] - 1 - function(x.flip(axis), axis, keep)

        return kernel

    return plan


def running(function: Callable[..., Tensor], start: int) -> Callable[[NodePlan], Kernel]:
    """The plan of CumSum and CumProd: forwards or backwards, with or without the element itself."""

    def plan(node: NodePlan) -> Kernel:
        read, is_exclusive = node.read_number(1), bool(node.integer("exclusive", 0))
        is_backward = bool(node.integer("reverse", 0))

        def kernel(x: Tensor, axis: Tensor) -> Tensor:
            at = int(read(axis))
            x = x.flip(at) if is_backward else x
            y = function(x, at, dtype=x.dtype)
            if is_exclusive:
                first = torch.full_like(x.narrow(at, 0, 1), start)
                y = torch.cat([first, y.narrow(at, 0, x.shape[at] - 1)], at)
            return y.flip(at) if is_backward else y

        return kernel

    return plan
