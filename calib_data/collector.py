"""Running a model once over samples with taps, feeding streaming observers under a memory cap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import onnx_ir as ir

from ..core.errors import LimitError
from ..core.tensors import Array, Feed
from .data import CalibrationData
from .finite import check_finite
from .observers import Observer
from .runner import OrtRunner, Runner

Progress = Callable[[int, int], None]
"""Called with the samples done and the samples in all."""

DEFAULT_MEMORY_BYTES = 1 << 30
"""Cap on what a collection holds at once: tapped values of one batch, and the observers."""


def collect(
    model: ir.Model,
    data: CalibrationData,
    observers: Mapping[str, Sequence[Observer]],
    *,
    runner: Runner | None = None,
    batch_size: int = 32,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    progress: Progress | None = None,
) -> None:
    """Feed every observer with every batch of its value.

    Where the tapped values of one sample exceed the cap, the values are visited in several runs over the same
    samples; otherwise one run serves all of them.

    Args:
        model: The graph, left as it is.
        data: The samples.
        observers: For each value name, the observers that want it.
        runner: Executes the graph; ONNX Runtime by default.
        batch_size: Most samples in one run.
        memory_bytes: The cap.
        progress: Told how far it is.

    Raises:
        DataError: A batch or a value of the model on it is not finite; batch and value are named.
        LimitError: The observers alone exceed the cap.
    """
    if not observers:
        return
    runner = runner or OrtRunner()
    sizes = _sizes(model, data, observers, runner)
    kept = sum(o.memory_bytes(sizes[name].shape) for name, many in observers.items() for o in many)
    if kept > memory_bytes:
        raise LimitError(
            f"the statistics take {kept / 1e9:.2f} GB, the cap is {memory_bytes / 1e9:.2f} GB",
            remedy="raise the memory cap, or exclude the widest layers",
        )
    budget = max(memory_bytes - kept, max(a.nbytes for a in sizes.values()))
    parts = _parts({name: array.nbytes for name, array in sizes.items()}, budget)
    for index, names in enumerate(parts):
        heaviest = sum(sizes[name].nbytes for name in names)
        size = data.batch_size_for(max(1, min(batch_size, budget // max(heaviest, 1))))
        _visit(
            model, data, {n: observers[n] for n in names}, runner, size, _share(progress, index, len(parts))
        )


def _visit(
    model: ir.Model,
    data: CalibrationData,
    observers: Mapping[str, Sequence[Observer]],
    runner: Runner,
    size: int,
    progress: Progress,
) -> None:
    done = 0
    for batch, values in enumerate(runner.run(model, data.batches(size), list(observers), optimize=True)):
        for name, many in observers.items():
            check_finite(values[name], name, batch)
            for observer in many:
                observer.update(values[name])
        done = min(done + size, len(data))
        progress(done, len(data))


def _sizes(
    model: ir.Model, data: CalibrationData, names: Mapping[str, object], runner: Runner
) -> dict[str, Array]:
    """The tapped values of the smallest batch: their shapes and sizes."""
    first: Feed = next(iter(data.batches(data.batch_size_for(1))))
    return next(iter(runner.run(model, [first], list(names), optimize=False)))


def _parts(sizes: Mapping[str, int], budget: int) -> list[list[str]]:
    """Split the values into runs so that one sample of each run fits the budget."""
    parts: list[list[str]] = []
    room = 0
    for name, size in sizes.items():
        if not parts or size > room:
            parts.append([])
            room = budget
        parts[-1].append(name)
        room -= size
    return parts


def _share(progress: Progress | None, index: int, count: int) -> Progress:
    if progress is None:
        return lambda done, total: None
    return lambda done, total: progress(index * total + done, count * total)
