"""A graph as a list of steps over numbered slots: what is executed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch

from ...core.errors import ModelError
from .plan import Kernel, Mode

ABSENT, MODE, UNNAMED, FIRST = 0, 1, 2, 3
"""Slots with a meaning: an input left out, the mode, outputs that nobody reads, and the first that is free."""


@dataclass(frozen=True)
class Step:
    """One node.

    Attributes:
        kernel: Computes it.
        inputs: The slots it reads, in order.
        outputs: The slots it writes, in order; 0 for an output without a name.
        host: Inputs that are read as plain numbers: they need not be where the others are.
        label: What to call the node in a message.
    """

    kernel: Kernel
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    host: frozenset[int]
    label: str

    def gather(self, slots: list[Any], device: torch.device | None) -> list[Any]:
        """The inputs; where some are on the device, the others are brought there."""
        values = [slots[i] for i in self.inputs]
        if device is None:
            return values
        tensors = [i for i, v in enumerate(values) if isinstance(v, torch.Tensor) and i not in self.host]
        if any(values[i].device == device for i in tensors):
            for i in tensors:
                values[i] = values[i].to(device)
        return values


@dataclass(frozen=True)
class Schedule:
    """The steps that some slots need, and when each slot is needed no more.

    Attributes:
        steps: Each step, with the slots that can be emptied after it.
        wanted: The slots that are asked for.
    """

    steps: tuple[tuple[Step, tuple[int, ...]], ...]
    wanted: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """A graph, compiled.

    Attributes:
        size: The number of slots.
        inputs: The slots of the graph's inputs.
        externals: The slots of what it reads from outside: weights, constants and values of outer graphs.
        steps: The nodes, in order.
        outputs: The schedule of the graph's outputs.
        declared: What the graph says of the shape and the type of each output; 0 for a size it does not say.
    """

    size: int
    inputs: tuple[int, ...]
    externals: tuple[int, ...]
    steps: tuple[Step, ...]
    outputs: Schedule
    declared: tuple[tuple[tuple[int, ...], torch.dtype], ...]

    def run(
        self,
        inputs: Sequence[Any],
        externals: Sequence[Any],
        mode: Mode,
        schedule: Schedule | None = None,
    ) -> list[Any]:
        """Execute what a schedule asks for.

        Args:
            inputs: A value for each input.
            externals: A value for each external.
            mode: Training or use.
            schedule: What is wanted; the outputs by default.

        Returns:
            The wanted values, in the schedule's order.

        Raises:
            ModelError: A node cannot compute these inputs.
        """
        schedule = schedule or self.outputs
        slots: list[Any] = [None] * self.size
        slots[MODE] = mode
        for slot, value in zip(self.inputs, inputs, strict=True):
            slots[slot] = value
        for slot, value in zip(self.externals, externals, strict=True):
            slots[slot] = value
        for step, finished in schedule.steps:
            try:
                result = step.kernel(*step.gather(slots, mode.device))
            except (RuntimeError, IndexError, TypeError, ValueError) as error:
                _explain(step, error)
            if type(result) is tuple:
                for slot, value in zip(step.outputs, result, strict=False):
                    slots[slot] = value
            else:
                slots[step.outputs[0]] = result
            for slot in finished:
                slots[slot] = None
        return [slots[slot] for slot in schedule.wanted]


def make_schedule(steps: Sequence[Step], wanted: Sequence[int]) -> Schedule:
    """Keep the steps that some slots need, and say after which step a slot can be emptied."""
    needed, kept = set(wanted), []
    for step in reversed(steps):
        if needed.intersection(step.outputs):
            kept.append(step)
            needed.update(step.inputs)
    seen = {ABSENT, MODE, *wanted}
    timed: list[tuple[Step, tuple[int, ...]]] = []
    for step in kept:
        last = {*step.inputs, *step.outputs} - seen
        seen |= last
        timed.append((step, tuple(sorted(last))))
    return Schedule(tuple(reversed(timed)), tuple(wanted))


def _explain(step: Step, error: Exception) -> NoReturn:
    if isinstance(error, torch.OutOfMemoryError):
        raise error
    raise ModelError(
        f"{step.label} cannot compute its inputs: {error}",
        remedy="give inputs of the shapes and types the model states",
    ) from error
