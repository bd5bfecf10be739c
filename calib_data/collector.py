"""Running a model once over samples with taps, feeding streaming observers under a memory cap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from .data import CalibrationData
from .finite import check_finite
from .observers import Observer
from .runner import OrtRunner, Runner
from .visits import DEFAULT_MEMORY_BYTES, Progress, Visit, plan_visits, probe, share_progress

__all__ = ["DEFAULT_MEMORY_BYTES", "Progress", "collect"]


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
    probes = probe(model, data, list(observers), runner)
    kept = sum(o.memory_bytes(probes[name].shape) for name, many in observers.items() for o in many)
    visits = plan_visits(probes, kept, data, batch_size=batch_size, memory_bytes=memory_bytes)
    for index, visit in enumerate(visits):
        _collect(model, data, observers, runner, visit, share_progress(progress, index, len(visits)))


def _collect(
    model: ir.Model,
    data: CalibrationData,
    observers: Mapping[str, Sequence[Observer]],
    runner: Runner,
    visit: Visit,
    progress: Progress,
) -> None:
    done, size = 0, visit.batch_size
    for batch, values in enumerate(runner.run(model, data.batches(size), visit.names, optimize=True)):
        for name in visit.names:
            check_finite(values[name], name, batch, data.indices[done : done + size])
            for observer in observers[name]:
                observer.update(values[name])
        del values  # before the runner computes the next batch
        done = min(done + size, len(data))
        progress(done, len(data))
