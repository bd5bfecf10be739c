"""One run over the samples that serves every way to choose ranges."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence

import onnx_ir as ir

from ..core.errors import UsageError
from .checkpoints import Checkpoint
from .data import CalibrationData
from .runner import OrtRunner, Runner
from .statistics import ValueObserver, ValueStatistics, step_for
from .visits import DEFAULT_MEMORY_BYTES, Probe, Progress, Visit, plan_visits, probe, share_progress

_BATCH_BYTES = 160 << 20
"""Tapped values of one batch: with more, the processor waits for memory and a batch is no faster for its samples."""

_PENDING_ELEMENTS = 1 << 22
"""Elements of all values together that may wait to be sorted into histograms."""

_CHECKPOINT_SECONDS = 10.0

_SETTINGS_VERSION = 1
"""Raised when the same key would stand for other statistics."""


def calibrate(
    model: ir.Model,
    data: CalibrationData,
    values: Sequence[str],
    *,
    channel_axes: Mapping[str, int] | None = None,
    key: str | None = None,
    runner: Runner | None = None,
    batch_size: int = 32,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    seed: int = 0,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> dict[str, ValueStatistics]:
    """Run the samples through a model and keep, of each value, what every method of choosing a range needs.

    Where the values of one sample exceed the cap, they are visited in several runs over the same samples. With a key,
    the statistics are kept in the cache folder, and what a run that was interrupted had collected is taken up again:
    the result is that of a run without interruption.

    Args:
        model: The graph, left as it is.
        data: The samples.
        values: Names of the values: graph inputs, or outputs of nodes of the main graph.
        channel_axes: For values whose channels are told apart, the axis.
        key: Stands for the graph (a digest of it), and the statistics are kept for the next time, for the same samples,
            settings and runner; None keeps nothing.
        runner: Executes the graph; ONNX Runtime by default.
        batch_size: Most samples in one run.
        memory_bytes: Cap on what is held at once: tapped values of one batch, and the statistics.
        seed: Seed of the choice of elements for the histograms.
        progress: Told how far it is.
        note: Told, in one sentence each, that kept statistics are reused, that an interrupted run is taken up again, and
            that statistics were damaged or could not be kept.

    Returns:
        For each value its statistics, in the order of ``values``.

    Raises:
        DataError: A batch or a value of the model on it is not finite (batch and value are named), or a value is empty.
        LimitError: The statistics alone exceed the cap.
        ModelError: A value is not in the graph, or the runtime refuses it.
        UsageError: A channel axis is not an axis of its value.
    """
    names, axes = list(dict.fromkeys(values)), dict(channel_axes or {})
    if not names:
        return {}
    runner = runner or OrtRunner()
    checkpoint = None
    if key is not None:
        settings = json.dumps(
            [_SETTINGS_VERSION, runner.identity, names, axes, batch_size, memory_bytes, seed]
        )
        checkpoint = Checkpoint.of(key, data.fingerprint, settings, note or _say_nothing)
    observers = None if checkpoint is None else checkpoint.read(names, axes, len(data))
    if observers is None or any(o.samples < len(data) for o in observers.values()):
        probes = probe(model, data, names, runner)
        observers = observers or _observers(probes, data, axes, seed)
        kept = sum(o.memory_bytes(probes[name].shape) for name, o in observers.items())
        visits = plan_visits(
            probes, kept, data, batch_size=batch_size, memory_bytes=memory_bytes, batch_bytes=_BATCH_BYTES
        )
        keep = _Keeper(checkpoint, observers)
        for index, visit in enumerate(visits):
            _visit(model, data, observers, runner, visit, share_progress(progress, index, len(visits)), keep)
        keep.now()
    elif progress is not None:
        progress(len(data), len(data))
    return {name: observer.statistics() for name, observer in observers.items()}


def _visit(
    model: ir.Model,
    data: CalibrationData,
    observers: Mapping[str, ValueObserver],
    runner: Runner,
    visit: Visit,
    progress: Progress,
    keep: _Keeper,
) -> None:
    """Go on with a visit at the first sample that its values have not seen."""
    done = observers[visit.names[0]].samples
    if done >= len(data):
        return
    feeds = data.batches(visit.batch_size, start=done)
    for values in runner.run(model, feeds, visit.names, optimize=True):
        samples = min(visit.batch_size, len(data) - done)
        for name in visit.names:
            observers[name].update(values[name], samples, done // visit.batch_size)
        del values  # before the runner computes the next batch
        done += samples
        progress(done, len(data))
        keep.now_and_then()


def _observers(
    probes: Mapping[str, Probe], data: CalibrationData, axes: Mapping[str, int], seed: int
) -> dict[str, ValueObserver]:
    """An observer for each value."""
    made = {}
    pending = min(1 << 16, _PENDING_ELEMENTS // len(probes))
    for name, found in probes.items():
        axis = axes.get(name)
        if axis is not None and not -len(found.shape) <= axis < len(found.shape):
            raise UsageError(
                f"{name} has {len(found.shape)} axes, its channels cannot lie along axis {axis}",
                remedy="name one of its axes",
            )
        sample = -(-math.prod(found.shape) // data.batch_size_for(1))
        step = step_for(sample * len(data), sample)
        made[name] = ValueObserver(name, axis=axis, step=step, phase=seed % step, pending=pending)
    return made


class _Keeper:
    """Writes down what was collected, but not too often."""

    def __init__(self, checkpoint: Checkpoint | None, observers: Mapping[str, ValueObserver]) -> None:
        self.checkpoint = checkpoint
        self.observers = observers
        self.last = time.monotonic()

    def now_and_then(self) -> None:
        if self.checkpoint is not None and time.monotonic() - self.last >= _CHECKPOINT_SECONDS:
            self.now()

    def now(self) -> None:
        if self.checkpoint is not None and not self.checkpoint.write(self.observers):
            self.checkpoint = None  # what failed once is said once
        self.last = time.monotonic()


def _say_nothing(note: str) -> None:
    """Where nobody wants to know."""
