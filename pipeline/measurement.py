"""Models side by side, and their latency."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..calib_data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import ExpectationError, UsageError
from ..runtime import CompareReport, DriftOptions, LatencyOptions, LatencyReport, find_metric, measure_latency
from ..runtime import compare as compare_models
from ..runtime.custom_metric import is_custom
from ..runtime.providers import CPU, current_offer, full_name
from .drop_budget import ROUNDING, UNBOUNDED
from .monitor import Monitor, Silent
from .opening import ModelLike, as_model

ROUNDS = 100
"""Rounds of `bench`: enough for the 99th percentile of a model whose run fills a sample."""

LOADS = 3
"""How often `bench` opens each model for its load time, of which the median counts."""


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
    output: str | None = None,
    drift: bool | DriftOptions = False,
    changed: int = 0,
    allow_fallback: bool = False,
    seed: int = 0,
    monitor: Monitor | None = None,
) -> CompareReport:
    """Measure models on the same samples: accuracy, agreement with the first, size and latency.

    Args:
        models: The models, the first being what the others are compared with.
        data: The samples, with the labels that the metric needs.
        metric: One of :data:`~sardonyx.runtime.METRICS`, ``topK``, or ``file.py:function``.
        provider: The execution provider.
        batches: Batch sizes to time.
        threads: Threads inside an operator; 0 leaves it to ONNX Runtime.
        rounds: Rounds of timing; the harness's default where None.
        seconds: Time to spend on timing; the harness's default where None.
        latency: Whether to time at all.
        output: The output that the metric and the answers are read from; the metric's own choice where None.
        drift: Whether to measure where each model drifts from the first, or how.
        changed: How many samples to list that a model answers differently from the first.
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
        return compare_models(
            name_models(models),
            data,
            metric,
            options,
            latency=latency,
            output=output,
            drift=DriftOptions(seed=seed) if drift is True else drift or None,
            changed=changed,
            progress=progress,
        )


def bench(
    models: Sequence[ModelLike] | Mapping[str, ModelLike],
    data: CalibrationData | None = None,
    *,
    providers: Sequence[str] = ("cpu",),
    batches: Sequence[int] = (1, 32),
    threads: int | Sequence[int] = 0,
    rounds: int | None = None,
    seconds: float | None = None,
    memory: bool = False,
    cold: bool = False,
    allow_fallback: bool = False,
    provider_options: Mapping[str, str] | None = None,
    seed: int = 0,
    monitor: Monitor | None = None,
) -> tuple[LatencyReport, ...]:
    """Time models in turns against the first of them; one report for each provider and number of threads.

    The pace is timed along, and each model is opened a few times more for its load time.

    Args:
        models: The models, the first being what the others are compared with.
        data: Samples to run; made up from the models' inputs where None.
        providers: The execution providers.
        batches: Batch sizes.
        threads: Threads inside an operator, one number or several; 0 leaves it to ONNX Runtime.
        rounds: Rounds of timing; :data:`ROUNDS` where None.
        seconds: Time to spend on each provider and number of threads; the harness's default where None.
        memory: Whether to measure peak memory too.
        cold: Whether the CPU's caches are emptied ahead of each timed run.
        allow_fallback: Whether the CPU may stand in for a provider.
        provider_options: Options for the provider that is not the CPU, in its own words.
        seed: Seed of order and intervals.
        monitor: Is told how work goes on.

    Raises:
        UsageError: There is no model, a number is out of range, something is asked for twice, or it is open which
            provider the options are for.
        ProviderError: A provider is not there or ran nothing.
    """
    numbers = (threads,) if isinstance(threads, int) else tuple(threads)
    _check_sweep(providers, batches, numbers, provider_options or {})
    named = name_models(models)
    reports = []
    for provider in providers:
        for number in numbers:
            options = replace(
                _options(provider, batches, number, rounds or ROUNDS, seconds, allow_fallback, seed),
                provider_options=() if _is_cpu(provider) else tuple((provider_options or {}).items()),
                memory=memory,
                cold=cold,
                loads=LOADS,
                pace=True,
            )
            with (monitor or Silent()).progress(_label(provider, number, numbers)) as progress:
                reports.append(measure_latency(named, data, options, progress=progress))
    return tuple(reports)


def _check_sweep(
    providers: Sequence[str], batches: Sequence[int], threads: Sequence[int], options: Mapping[str, str]
) -> None:
    """Refuse a sweep that times something twice or nothing, and options that no provider or several would get."""
    for what, values in (("providers", providers), ("batch sizes", batches), ("numbers of threads", threads)):
        if not values or len(set(values)) < len(values):
            listed = ", ".join(map(str, values)) or "none"
            raise UsageError(f"{what}: {listed}", remedy="name at least one, and each once")
    takers = [provider for provider in providers if not _is_cpu(provider)]
    if options and len(takers) != 1:
        cause = f"{len(takers)} of the providers would take {', '.join(options)}; the CPU provider takes no options"
        raise UsageError(cause, remedy="give options with exactly one provider besides cpu")


def _is_cpu(provider: str) -> bool:
    return full_name(provider, current_offer()) == CPU


def _label(provider: str, threads: int, sweep: Sequence[int]) -> str:
    return f"timing on {provider}" + (f", threads {threads or 'all'}" if len(sweep) > 1 else "")


def check_promises(metric: str, *, max_drop: float | None = None, min_speedup: float | None = None) -> None:
    """Refuse expectations that cannot be judged, before anything is measured.

    Args:
        metric: The metric.
        max_drop: How much of it may be lost.
        min_speedup: How many times faster the last model must be.

    Raises:
        UsageError: A number is no number, a share is to lose more than all of it, or the metric is unknown or is
            infinite for the first model itself.
    """
    rule = None if is_custom(metric) else find_metric(metric)
    for name, number in (("--max-drop", max_drop), ("--min-speedup", min_speedup)):
        if number is not None and not (math.isfinite(number) and number >= 0):
            raise UsageError(f"{name} {number:g}", remedy="give a number of at least 0")
    if max_drop is None or rule is None:
        return
    if rule.name in UNBOUNDED:
        raise UsageError(f"{metric} has no drop", remedy="use --metric cosine, agreement or one with labels")
    if rule.is_ratio and max_drop > 1:
        raise UsageError(f"{metric} cannot lose {max_drop:g}, it is at most 1", remedy="0.01 is one percent")


def check_expectations(
    report: CompareReport, *, max_drop: float | None = None, min_speedup: float | None = None
) -> None:
    """Hold the last model of a comparison to what was promised of it.

    Args:
        report: The comparison.
        max_drop: How much worse than the first model it may be, in the metric's own unit.
        min_speedup: How many times faster than the first model it must be, at every batch size.

    Raises:
        ExpectationError: It is not.
    """
    first, last = report.rows[0], report.rows[-1]
    sign = 1 if first.accuracy.higher_is_better else -1
    lost = sign * (first.accuracy.value - last.accuracy.value)
    if max_drop is not None and lost > max_drop + ROUNDING:
        raise ExpectationError(
            f"{last.model} loses {lost:.4g} of {report.metric}, more than {max_drop:g}",
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
) -> LatencyOptions:
    given: dict[str, Any] = {"rounds": rounds, "seconds": seconds}
    return LatencyOptions(
        batches=tuple(batches),
        threads=threads,
        provider=provider,
        allow_fallback=allow_fallback,
        seed=seed,
        **{key: value for key, value in given.items() if value is not None},
    )
