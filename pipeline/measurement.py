"""Models side by side, and their latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..calib_data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import ExpectationError, UsageError
from ..runtime import CompareReport, LatencyOptions, LatencyReport, measure_latency
from ..runtime import compare as compare_models
from .drop_budget import ROUNDING
from .monitor import Monitor, Silent
from .opening import ModelLike, as_model


def compare(
    models: Sequence[ModelLike] | Mapping[str, ModelLike],
    data: CalibrationData,
    metric: str = "top1",
    *,
    provider: str = "cpu",
    batches: Sequence[int] = (1, 32),
    threads: int = 0,
    rounds: int | None = None,
    seconds: float | None = None,
    latency: bool = True,
    allow_fallback: bool = False,
    seed: int = 0,
    monitor: Monitor | None = None,
) -> CompareReport:
    """Measure models on the same samples: accuracy, agreement with the first, size and latency.

    Args:
        models: The models, the first being what the others are compared with.
        data: The samples, with labels for ``top1``.
        metric: ``top1``, ``cosine``, ``sqnr``, ``agreement`` or ``file.py:function``.
        provider: The execution provider.
        batches: Batch sizes to time.
        threads: Threads inside an operator; 0 leaves it to ONNX Runtime.
        rounds: Rounds of timing; the harness's default where None.
        seconds: Time to spend on timing; the harness's default where None.
        latency: Whether to time at all.
        allow_fallback: Whether the CPU may stand in for the provider.
        seed: Seed of order and intervals.
        monitor: Is told how work goes on.

    Raises:
        UsageError: There is no model, or the metric is unknown.
        DataError: The samples or labels do not fit.
        ProviderError: The provider is not there or ran nothing.
    """
    options = _options(provider, batches, threads, rounds, seconds, allow_fallback, seed)
    with (monitor or Silent()).progress("comparing") as progress:
        return compare_models(name_models(models), data, metric, options, latency=latency, progress=progress)


def bench(
    models: Sequence[ModelLike] | Mapping[str, ModelLike],
    data: CalibrationData | None = None,
    *,
    providers: Sequence[str] = ("cpu",),
    batches: Sequence[int] = (1, 32),
    threads: int = 0,
    rounds: int | None = None,
    seconds: float | None = None,
    memory: bool = False,
    allow_fallback: bool = False,
    seed: int = 0,
    monitor: Monitor | None = None,
) -> tuple[LatencyReport, ...]:
    """Time models in turns against the first of them; one report for each provider.

    Args:
        models: The models, the first being what the others are compared with.
        data: Samples to run; made up from the models' inputs where None.
        providers: The execution providers.
        batches: Batch sizes.
        threads: Threads inside an operator; 0 leaves it to ONNX Runtime.
        rounds: Rounds of timing; the harness's default where None.
        seconds: Time to spend on each provider; the harness's default where None.
        memory: Whether to measure peak memory too.
        allow_fallback: Whether the CPU may stand in for a provider.
        seed: Seed of order and intervals.
        monitor: Is told how work goes on.

    Raises:
        UsageError: There is no model, or a number is out of range.
        ProviderError: A provider is not there or ran nothing.
    """
    named = name_models(models)
    reports = []
    for provider in providers:
        options = _options(provider, batches, threads, rounds, seconds, allow_fallback, seed, memory=memory)
        with (monitor or Silent()).progress(f"timing on {provider}") as progress:
            reports.append(measure_latency(named, data, options, progress=progress))
    return tuple(reports)


def check_expectations(
    report: CompareReport, *, max_drop: float | None = None, min_speedup: float | None = None
) -> None:
    """Hold the last model of a comparison to what was promised of it.

    Args:
        report: The comparison.
        max_drop: How much of the metric may be lost against the first model.
        min_speedup: How many times faster than the first model it must be, at every batch size.

    Raises:
        ExpectationError: It is not.
    """
    first, last = report.rows[0], report.rows[-1]
    sign = 1 if first.accuracy.higher_is_better else -1
    lost = sign * (first.accuracy.value - last.accuracy.value)
    if max_drop is not None and lost > max_drop + ROUNDING:
        raise ExpectationError(
            f"{last.model} loses {lost:.4f} of {report.metric}, more than {max_drop:g}",
            remedy="prune less, exclude sensitive nodes, or calibrate with more samples",
        )
    slow = [row for row in last.latency if min_speedup is not None and row.speed_ratio < min_speedup]
    if slow:
        raise ExpectationError(
            f"{last.model} runs at {slow[0].speed_ratio:.2f}x at batch {slow[0].batch}, not {min_speedup:g}x",
            remedy="prune more, or see with `sardonyx inspect` what stays in float",
        )


def name_models(models: Sequence[ModelLike] | Mapping[str, ModelLike]) -> dict[str, ModelArtifact]:
    """Models by name: the given names, or paths, or the models' own; numbered where they repeat.

    Raises:
        UsageError: There is no model.
    """
    if isinstance(models, Mapping):
        return {name: as_model(model) for name, model in models.items()}
    if isinstance(models, str | Path | ModelArtifact):
        models = [models]
    named: dict[str, ModelArtifact] = {}
    for model in models:
        artifact = as_model(model)
        name = str(model) if isinstance(model, str | Path) else artifact.name or "model"
        number = sum(1 for other in named if other == name or other.startswith(f"{name} ("))
        named[f"{name} ({number + 1})" if number else name] = artifact
    if not named:
        raise UsageError("there is no model to measure", remedy="name at least one model")
    return named


def _options(
    provider: str,
    batches: Sequence[int],
    threads: int,
    rounds: int | None,
    seconds: float | None,
    allow_fallback: bool,
    seed: int,
    memory: bool = False,
) -> LatencyOptions:
    given: dict[str, Any] = {"rounds": rounds, "seconds": seconds}
    return LatencyOptions(
        batches=tuple(batches),
        threads=threads,
        provider=provider,
        allow_fallback=allow_fallback,
        memory=memory,
        seed=seed,
        **{key: value for key, value in given.items() if value is not None},
    )
