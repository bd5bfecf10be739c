"""Operators that pick, put and order elements by index."""

from __future__ import annotations

from typing import Any

import torch

from ..plan import Kernel, NodePlan

Tensor = torch.Tensor


def gather(node: NodePlan) -> Kernel:
    """Gather along an axis; negative indices count from the end."""
    axis = node.integer("axis", 0)

    def kernel(x: Tensor, index: Tensor) -> Tensor:
        at = axis % x.dim()
        flat = _positive(index.reshape(-1), x.shape[at])
        picked = x.index_select(at, flat)
        return picked.reshape((*x.shape[:at], *index.shape, *x.shape[at + 1 :]))

    return kernel


def gather_elements(node: NodePlan) -> Kernel:
    """GatherElements."""
    axis = node.integer("axis", 0)
    return lambda x, index: torch.gather(x, axis, _positive(index, x.shape[axis]))


def gather_nd(node: NodePlan) -> Kernel:
    """GatherND, with leading axes in common."""
    batch = node.integer("batch_dims", 0)

    def kernel(x: Tensor, index: Tensor) -> Tensor:
        lead = tuple(
            torch.arange(n, device=x.device).reshape(-1, *(1,) * (index.dim() - 2 - i))
            for i, n in enumerate(index.shape[:batch])
        )
        columns = tuple(_positive(index[..., i], x.shape[batch + i]) for i in range(index.shape[-1]))
        return x[lead + columns]

    return kernel


_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def scatter_elements(node: NodePlan) -> Kernel:
    """ScatterElements and Scatter: put, or join with what is there."""
    axis, reduction = node.integer("axis", 0), node.text("reduction", "none")

    def kernel(x: Tensor, index: Tensor, updates: Tensor) -> Tensor:
        places = _positive(index, x.shape[axis])
        if reduction == "none":
            return x.scatter(axis, places, updates)
        return x.scatter_reduce(axis, places, updates, _REDUCTIONS[reduction])

    return kernel


def scatter_nd(node: NodePlan) -> Kernel:
    """ScatterND: put slices, or join them with what is there."""
    reduction = node.text("reduction", "none")

    def kernel(x: Tensor, index: Tensor, updates: Tensor) -> Tensor:
        depth = index.shape[-1]
        rows = torch.zeros_like(index[..., 0])
        for i in range(depth):
            rows = rows * x.shape[i] + _positive(index[..., i], x.shape[i])
        tail = x.shape[depth:]
        flat = x.reshape(-1, *tail)
        places, values = rows.reshape(-1), updates.reshape(-1, *tail)
        if reduction == "none":
            return flat.index_put((places,), values).reshape(x.shape)
        if reduction == "add":
            return flat.index_add(0, places, values).reshape(x.shape)
        spread = places.reshape(-1, *(1,) * len(tail)).expand_as(values)
        return flat.scatter_reduce(0, spread, values, _REDUCTIONS[reduction]).reshape(x.shape)

    return kernel


def tensor_scatter(node: NodePlan) -> Kernel:
    """TensorScatter: updates of a cache, from a position of each row on, or round its end."""
    axis, is_circular = node.integer("axis", -2), node.text("mode", "linear") == "circular"

    def kernel(cache: Tensor, update: Tensor, first: Tensor | None = None) -> Tensor:
        at, rows, length = axis % cache.dim(), cache.shape[0], update.shape[axis]
        start = torch.zeros(rows, dtype=torch.int64) if first is None else first.to(torch.int64)
        places = start.reshape(-1, 1).to(cache.device) + torch.arange(length, device=cache.device)
        places = places.remainder(cache.shape[at]) if is_circular else places
        spread = places.reshape(rows, *(1,) * (at - 1), length, *(1,) * (cache.dim() - at - 1))
        return cache.scatter(at, spread.expand_as(update), update)

    return kernel


def top_k(node: NodePlan) -> Kernel:
    """TopK; equal values keep their order."""
    axis, is_largest = node.integer("axis", -1), bool(node.integer("largest", 1))
    stated = node.node.attributes.get("k")
    fixed, read = None if stated is None else stated.as_int(), node.read_number(1)

    def kernel(x: Tensor, k: Tensor | None = None) -> tuple[Tensor, Tensor]:
        count = int(read(k)) if fixed is None else fixed
        values, places = torch.sort(x, dim=axis, descending=is_largest, stable=True)
        return values.narrow(axis, 0, count), places.narrow(axis, 0, count)

    return kernel


def one_hot(node: NodePlan) -> Kernel:
    """OneHot; an index out of range gives a row without a mark."""
    axis, read = node.integer("axis", -1), node.read_number(1)

    def kernel(index: Tensor, depth: Tensor, values: Tensor) -> Tensor:
        count = int(read(depth))
        whole = index.to(torch.int64)
        whole = torch.where(whole < 0, whole + count, whole)
        marks = whole.unsqueeze(-1) == torch.arange(count, device=index.device)
        made = torch.where(marks, values[1], values[0])
        return made.movedim(-1, axis)

    return kernel


def non_zero(x: Tensor) -> Tensor:
    """NonZero, one row for each axis."""
    return torch.nonzero(x).t() if x.dim() else torch.nonzero(x.reshape(1)).t()[:0]


def compress(node: NodePlan) -> Kernel:
    """Compress: the elements, or the slices of an axis, where a condition holds."""
    stated = node.node.attributes.get("axis")

    def kernel(x: Tensor, condition: Tensor) -> Tensor:
        places = torch.nonzero(condition).reshape(-1)
        if stated is None:
            return x.reshape(-1).index_select(0, places)
        return x.index_select(stated.as_int(), places)

    return kernel


def reverse_sequence(node: NodePlan) -> Kernel:
    """ReverseSequence: the first elements of each row, backwards."""
    batch, time = node.integer("batch_axis", 1), node.integer("time_axis", 0)

    def kernel(x: Tensor, lengths: Tensor) -> Tensor:
        rows = x.movedim((batch, time), (0, 1))
        steps = torch.arange(rows.shape[1], device=x.device)
        ends = lengths.to(x.device).reshape(-1, 1)
        index = torch.where(steps < ends, ends - 1 - steps, steps)
        spread = index.reshape(*index.shape, *(1,) * (rows.dim() - 2)).expand_as(rows)
        return rows.gather(1, spread).movedim((0, 1), (batch, time))

    return kernel


def unique(node: NodePlan) -> Kernel:
    """Unique: values, where each is first, which each element is, and how often each occurs."""
    stated, is_sorted = node.node.attributes.get("axis"), bool(node.integer("sorted", 1))

    def kernel(x: Tensor) -> Any:
        axis = None if stated is None else stated.as_int()
        values, inverse, counts = torch.unique(x, return_inverse=True, return_counts=True, dim=axis)
        inverse = inverse.reshape(-1)
        places = torch.arange(inverse.numel(), device=x.device)
        first = torch.full_like(counts, inverse.numel()).scatter_reduce(0, inverse, places, "amin")
        if not is_sorted:
            order = first.argsort()
            values, first, counts = values.index_select(axis or 0, order), first[order], counts[order]
            inverse = order.argsort()[inverse]
        return values, first, inverse, counts

    return kernel


def non_max_suppression(node: NodePlan) -> Kernel:
    """NonMaxSuppression: boxes by falling score, each unless it overlaps one taken before it too much."""
    is_centre = bool(node.integer("center_point_box", 0))
    read_most, readers = node.read_number(2), [node.read_number(i) for i in (3, 4)]

    def kernel(boxes: Tensor, scores: Tensor, *limits: Tensor | None) -> Tensor:
        given = [*limits, None, None, None]
        most = int(read_most(given[0]) or 0)
        overlap, least = (read(t) for read, t in zip(readers, given[1:3], strict=True))
        corners = _corners(boxes, is_centre)
        rows = [
            (b, c, i)
            for b in range(scores.shape[0])
            for c in range(scores.shape[1])
            for i in _survivors(corners[b], scores[b, c], most, overlap or 0.0, least)
        ]
        return torch.tensor(rows, dtype=torch.int64, device=scores.device).reshape(-1, 3)

    return kernel


def _corners(boxes: Tensor, is_centre: bool) -> Tensor:
    a, b = boxes[..., :2], boxes[..., 2:]
    if is_centre:
        return torch.cat([a - b / 2, a + b / 2], -1)
    return torch.cat([torch.minimum(a, b), torch.maximum(a, b)], -1)


def _survivors(boxes: Tensor, scores: Tensor, most: int, overlap: float, least: float | None) -> list[int]:
    taken: list[int] = []
    for i in torch.sort(scores, descending=True, stable=True).indices.tolist():
        if len(taken) >= most or (least is not None and float(scores[i]) <= least):
            break
        if all(float(_overlap(boxes[i], boxes[j])) <= overlap for j in taken):
            taken.append(i)
    return taken


def _overlap(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of two boxes."""
    sides = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0)
    common = sides.prod()
    return common / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - common).clamp(min=1e-12)


def _positive(index: Tensor, size: int) -> Tensor:
    whole = index.to(torch.int64)
    return torch.where(whole < 0, whole + size, whole)
