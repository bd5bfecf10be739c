"""What a bundle says was measured where it was made: accuracy, what that lost against the reference, latency."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from ..calib_data import CalibrationData
from ..core import ModelArtifact
from ..deploy import Measured
from ..runtime import Accuracy, LatencyOptions, LatencyRow, environment_fingerprint, evaluate, find_metric
from ..runtime import measure_latency as time_models
from ..runtime.custom_metric import is_custom
from .monitor import Monitor

SECONDS = 5.0
"""Time to spend on the latency of one model: it is recorded, and nothing is judged by it."""

_FLAGS = frozenset({"avx2", "avx512f", "avx512_vnni", "avx_vnni", "asimddp", "i8mm"})


@dataclass(frozen=True, kw_only=True)
class FigureOptions:
    """What is measured.

    Attributes:
        metric: What accuracy is measured as; None for ``top1`` where the labels of the samples are classes.
        latency: Whether the model is timed.
        batch: Samples in a run that is timed.
        threads: Threads of timing and evaluation; 0 leaves it to ONNX Runtime.
        seed: Seed of the intervals.
    """

    metric: str | None = None
    latency: bool = True
    batch: int = 1
    threads: int = 0
    seed: int = 0


def measure_bundle(
    model: ModelArtifact,
    reference: ModelArtifact | None,
    evaluation: CalibrationData | None,
    data: CalibrationData | None,
    options: FigureOptions,
    monitor: Monitor,
) -> Measured | None:
    """Measure a model as it goes into a bundle.

    Args:
        model: The model.
        reference: What it was made from.
        evaluation: Samples to judge with.
        data: Samples to time with; made up where None.
        options: What is measured.
        monitor: Is told how work goes on.

    Returns:
        The figures; None where there is nothing to measure.

    Raises:
        UsageError: The metric is unknown, or lacks its reference.
        DataError: The samples or labels do not fit.
    """
    metric = options.metric or _usual_metric(evaluation, monitor)
    accuracy, drop = None, None
    if metric is not None:
        monitor.note(f"measuring {metric}")
        accuracy, drop = _accuracy(model, reference, evaluation, metric, options)
    row = _latency(model, data, options, monitor) if options.latency else None
    if accuracy is None and row is None:
        return None
    return Measured(
        metric=metric,
        value=None if accuracy is None else _finite(accuracy.value),
        low=None if accuracy is None else _finite(accuracy.low),
        high=None if accuracy is None else _finite(accuracy.high),
        samples=0 if accuracy is None else accuracy.n,
        drop=_finite(drop),
        latency_ms=None if row is None else row.median_ms,
        latency_low_ms=None if row is None else row.low_ms,
        latency_high_ms=None if row is None else row.high_ms,
        batch=options.batch,
        threads=options.threads,
        provider="CPUExecutionProvider",
        machine=_machine(),
    )


def _usual_metric(evaluation: CalibrationData | None, monitor: Monitor) -> str | None:
    """What is measured where nobody said: right answers, where the labels are classes."""
    labels = None if evaluation is None else evaluation.labels
    if labels is None:
        return None
    if labels.ndim == 1 and labels.dtype.kind in "iu":
        return "top1"
    monitor.note("accuracy is not measured: the labels are no classes; say how with --metric")
    return None


def _accuracy(
    model: ModelArtifact,
    reference: ModelArtifact | None,
    evaluation: CalibrationData | None,
    metric: str,
    options: FigureOptions,
) -> tuple[Accuracy, float | None]:
    """The accuracy, and how much less that is than the reference's."""
    is_own = is_custom(metric)
    against = not is_own and find_metric(metric).needs == "reference"
    measure = partial(evaluate, threads=options.threads, seed=options.seed)
    found = measure(model, evaluation, metric, reference=reference if against else None)
    if reference is None or against:
        return found, None
    other = measure(reference, evaluation, metric)
    sign = 1.0 if found.higher_is_better else -1.0
    return found, sign * (other.value - found.value)


def _latency(
    model: ModelArtifact, data: CalibrationData | None, options: FigureOptions, monitor: Monitor
) -> LatencyRow:
    asked = LatencyOptions(
        batches=(options.batch,), threads=options.threads, seconds=SECONDS, seed=options.seed
    )
    with monitor.progress("timing") as progress:
        return time_models({"model": model}, data, asked, progress=progress).row_of("model", options.batch)


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def _machine() -> str:
    found = environment_fingerprint()
    flags = " ".join(flag for flag in found.flags if flag in _FLAGS)
    return f"{found.cpu}, {found.cores} cores, {flags or 'flags unknown'}"
