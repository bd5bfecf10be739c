"""Sequences of tensors, as Python lists."""

from __future__ import annotations

from typing import Any

import torch

from ..plan import Kernel, NodePlan

Tensor = torch.Tensor
Sequence = list[Tensor]


def construct(*tensors: Tensor) -> Sequence:
    """SequenceConstruct."""
    return list(tensors)


def empty() -> Sequence:
    """SequenceEmpty."""
    return []


def length(sequence: Sequence) -> Tensor:
    """SequenceLength."""
    return torch.tensor(len(sequence), dtype=torch.int64)


def at(node: NodePlan) -> Kernel:
    """SequenceAt."""
    read = node.read_number(1)
    return lambda sequence, position: sequence[int(read(position))]


def insert(node: NodePlan) -> Kernel:
    """SequenceInsert: before a position, or at the end."""
    read = node.read_number(2)

    def kernel(sequence: Sequence, tensor: Tensor, position: Tensor | None = None) -> Sequence:
        place = read(position)
        index = len(sequence) if place is None else int(place)
        return [*sequence[:index], tensor, *sequence[index:]]

    return kernel


def erase(node: NodePlan) -> Kernel:
    """SequenceErase: at a position, or at the end."""
    read = node.read_number(1)

    def kernel(sequence: Sequence, position: Tensor | None = None) -> Sequence:
        place = read(position)
        index = len(sequence) - 1 if place is None else int(place) % len(sequence)
        return [*sequence[:index], *sequence[index + 1 :]]

    return kernel


def concatenate(node: NodePlan) -> Kernel:
    """ConcatFromSequence."""
    axis, is_new = node.integer("axis", 0), bool(node.integer("new_axis", 0))
    return lambda sequence: torch.stack(sequence, axis) if is_new else torch.cat(sequence, axis)


def split(node: NodePlan) -> Kernel:
    """SplitToSequence: by sizes, by one size, or one by one."""
    axis, keeps, read = node.integer("axis", 0), bool(node.integer("keepdims", 1)), node.read_ints(1)

    def kernel(x: Tensor, sizes: Any = None) -> Sequence:
        named = read(sizes)
        if named is None:
            parts = torch.split(x, 1, axis)
            return [p if keeps else p.squeeze(axis) for p in parts]
        is_one = sizes is not None and sizes.dim() == 0
        return list(torch.split(x, named[0] if is_one else list(named), axis))

    return kernel
