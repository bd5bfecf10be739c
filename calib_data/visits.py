"""How often a model is run over the samples, for which values, and in batches of what size, under a memory cap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import onnx_ir as ir

from ..core.errors import LimitError
from .data import CalibrationData
from .runner import Runner

Progress = Callable[[int, int], None]
"""Called with the samples done and the samples in all."""

DEFAULT_MEMORY_BYTES = 1 << 30
"""Cap on what a collection holds at once: tapped values of one batch, and the observers."""


_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Probe:
    """What a value is like on the smallest batch.

    Attributes:
        shape: Its shape there.
        nbytes: Its bytes there.
    """

    shape: tuple[int, ...]
    nbytes: int


@dataclass(frozen=True)
class Visit:
    """One run over all samples.

    Attributes:
        names: The values tapped in it.
        batch_size: Samples in a batch.
    """

    names: tuple[str, ...]
    batch_size: int


def probe(model: ir.Model, data: CalibrationData, names: Sequence[str], runner: Runner) -> dict[str, Probe]:
    """Run the smallest batch there is, and look at the values."""
    first = next(data.batches(data.batch_size_for(1)))
    arrays = next(iter(runner.run(model, [first], list(names), optimize=False)))
    return {name: Probe(array.shape, array.nbytes) for name, array in arrays.items()}


def plan_visits(
    probes: Mapping[str, Probe],
    kept: int,
    data: CalibrationData,
    *,
    batch_size: int,
    memory_bytes: int,
    batch_bytes: int | None = None,
) -> list[Visit]:
    """One visit for all values; several where the values of one sample exceed what the cap leaves.

    Args:
        probes: The values, on the smallest batch.
        kept: Bytes that their statistics take.
        data: The samples.
        batch_size: Most samples in a batch.
        memory_bytes: The cap.
        batch_bytes: Most bytes of tapped values in a batch, where one sample does not take more; None for the cap.

    Raises:
        LimitError: The statistics alone exceed the cap.
    """
    if kept > memory_bytes:
        raise LimitError(
            f"the statistics take {kept / 1e9:.2f} GB, the cap is {memory_bytes / 1e9:.2f} GB",
            remedy="raise the memory cap, or exclude the widest layers",
        )
    budget = max(memory_bytes - kept, max(p.nbytes for p in probes.values()))
    room = budget if batch_bytes is None else min(budget, batch_bytes)
    visits = []
    for names in fit_together({name: p.nbytes for name, p in probes.items()}, budget):
        sample = sum(probes[name].nbytes for name in names)
        size = max(1, min(batch_size, room // max(sample, 1)))
        visits.append(Visit(tuple(names), data.batch_size_for(size)))
    return visits


def share_progress(progress: Progress | None, index: int, count: int) -> Progress:
    """What tells the whole of ``count`` visits how far visit ``index`` is."""
    if progress is None:
        return lambda done, total: None
    return lambda done, total: progress(index * total + done, count * total)


def fit_together(sizes: Mapping[_Item, int], budget: int) -> list[list[_Item]]:
    """Split things, in order, into parts that each fit a budget.

    Args:
        sizes: The things and their sizes.
        budget: What the sizes of a part may come to; a thing that alone is larger is a part by itself.
    """
    parts: list[list[_Item]] = []
    room = 0
    for item, size in sizes.items():
        if not parts or size > room:
            parts.append([])
            room = budget
        parts[-1].append(item)
        room -= size
    return parts
