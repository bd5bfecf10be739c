"""Latency of models against each other, with intervals and a verdict that noise cannot buy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..calib_data.data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import UsageError
from .feeds import feed_of, fixed_batch
from .intervals import Interval, median_interval
from .memory import peak_memory_bytes
from .sessions import Session, open_session
from .timing import LEAST_ROUNDS, MANY_DISTURBED, TimedRounds, TimingPlan, time_interleaved
from .verdict import WIDE_SPREAD, Verdict, judge, noise_ratio, speed_ratio, spread_ratio

_TWIN = "\0twin"
"""The baseline's twin among the candidates."""


@dataclass(frozen=True)
class LatencyOptions:
    """How latency is measured.

    Attributes:
        batches: Batch sizes.
        threads: Threads inside an operator; 0 leaves it to ONNX Runtime.
        rounds: Rounds; in each every model is timed once.
        warmup: Untimed runs of each model first.
        provider: The execution provider.
        seconds: Time to spend on all batch sizes together.
        sample_ms: A sample repeats the run until it takes at least this long.
        allow_fallback: Whether the CPU may stand in for the provider.
        provider_options: Options for the provider, as pairs of its own words.
        memory: Whether to measure the peak memory too (on the CPU, in a process of its own).
        seed: Seed of the order and of the bootstrap.
    """

    batches: tuple[int, ...] = (1, 32)
    threads: int = 0
    rounds: int = 30
    warmup: int = 3
    provider: str = "cpu"
    seconds: float = 60.0
    sample_ms: float = 5.0
    allow_fallback: bool = False
    provider_options: tuple[tuple[str, str], ...] = ()
    memory: bool = False
    seed: int = 0


@dataclass(frozen=True)
class LatencyRow:
    """One model at one batch size.

    Attributes:
        model: The model's name.
        batch: Samples in a run.
        provider: The provider that ran it.
        median_ms: Median milliseconds of a run.
        low_ms: Lower end of the median's 95 % interval.
        high_ms: Upper end.
        p90_ms: 90 % of the samples are not above this.
        baseline: The model that ratios are against: the first that takes this batch.
        speed_ratio: How many times faster than the baseline, the median over rounds; above 1 is faster.
        speed_low_ratio: Lower end of its 95 % interval.
        speed_high_ratio: Upper end.
        verdict: ``faster``, ``slower``, ``no difference``, or ``baseline``.
        noise_ratio: The difference from 1 that means nothing here: how far the baseline differs from itself.
        spread_ratio: Distance between the quartiles over the median.
        rounds: Rounds timed.
        runs_per_sample: Runs averaged in one sample.
        provider_node_ratio: Share of nodes that the provider ran, 0 to 1; None on the CPU.
        peak_memory_bytes: Memory that loading and running takes at its peak, where it was asked for.
        warnings: What makes the figure less certain, and fallbacks.
    """

    model: str
    batch: int
    provider: str
    median_ms: float
    low_ms: float
    high_ms: float
    p90_ms: float
    baseline: str
    speed_ratio: float
    speed_low_ratio: float
    speed_high_ratio: float
    verdict: Verdict
    noise_ratio: float
    spread_ratio: float
    rounds: int
    runs_per_sample: int
    provider_node_ratio: float | None = None
    peak_memory_bytes: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class LatencySkip:
    """A measurement that was not made.

    Attributes:
        model: The model's name.
        batch: The batch size.
        reason: Why.
    """

    model: str
    batch: int
    reason: str


@dataclass(frozen=True)
class LatencyReport:
    """Latencies of models.

    Attributes:
        options: How they were measured.
        rows: One for each model and batch size, batch sizes outermost.
        skipped: What was not measured, and why.
    """

    options: LatencyOptions
    rows: tuple[LatencyRow, ...]
    skipped: tuple[LatencySkip, ...] = ()

    def row(self, model: str, batch: int) -> LatencyRow | None:
        """The row of a model at a batch size, or None where it was skipped."""
        return next((r for r in self.rows if (r.model, r.batch) == (model, batch)), None)


def measure_latency(
    models: Mapping[str, ModelArtifact],
    data: CalibrationData | None,
    options: LatencyOptions | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> LatencyReport:
    """Time models against the first of them, interleaved.

    Where there is something to compare, the baseline is opened a second time and timed along: how far this twin
    differs from it is the noise that no difference may hide in.

    Args:
        models: Models by name; ratios are against the first one that takes the batch.
        data: Samples to run; made up from the model's inputs where None.
        options: How to measure.
        progress: Told the rounds done and the rounds in all.

    Raises:
        UsageError: There is no model, a number is out of range, or no model takes any of the batch sizes.
        ProviderError: The provider is not there or ran nothing.
        DataError: The samples do not fit a model.
    """
    options = options or LatencyOptions()
    _check_options(models, options)
    sessions = {name: _open(model, options) for name, model in models.items()}
    rows: list[LatencyRow] = []
    skipped: list[LatencySkip] = []
    fixed = {name: fixed_batch(model, data) for name, model in models.items()}
    for index, batch in enumerate(options.batches):
        taken = {n: s for n, s in sessions.items() if fixed[n] in (None, batch)}
        skipped += [_skip(n, batch, fixed[n]) for n in models if n not in taken]
        share = _share(progress, index, len(options.batches))
        rows += _measure_batch(taken, data, batch, options, share) if taken else []
    if not rows:
        raise UsageError(f"no model takes a batch of {options.batches}", remedy=skipped[0].reason)
    return LatencyReport(options, tuple(rows), tuple(skipped))


def _check_options(models: Mapping[str, ModelArtifact], options: LatencyOptions) -> None:
    if not models:
        raise UsageError("there is no model to measure", remedy="name at least one model")
    if _TWIN in models:
        raise UsageError("a model's name holds a NUL", remedy="rename it")
    if not options.batches or min(options.batches) < 1:
        raise UsageError(f"batch sizes {options.batches} are not possible", remedy="use numbers from 1")
    if options.rounds < LEAST_ROUNDS or options.sample_ms <= 0 or options.seconds <= 0 or options.warmup < 0:
        raise UsageError(
            f"{options.rounds} rounds of {options.sample_ms} ms in {options.seconds} s is not possible",
            remedy=f"use at least {LEAST_ROUNDS} rounds and times above 0",
        )


def _open(model: ModelArtifact, options: LatencyOptions) -> Session:
    return open_session(
        model,
        options.provider,
        threads=options.threads,
        allow_fallback=options.allow_fallback,
        provider_options=dict(options.provider_options),
        stop_spinning=True,
    )


def _skip(name: str, batch: int, only: int | None) -> LatencySkip:
    remedy = f"measure at {only}, or export it with a free one"
    return LatencySkip(name, batch, f"its batch is fixed to {only}: {remedy}")


def _share(progress: Callable[[int, int], None] | None, index: int, count: int) -> Callable[[int, int], None]:
    if progress is None:
        return lambda done, total: None
    return lambda done, total: progress(index * total + done, count * total)


def _measure_batch(
    sessions: Mapping[str, Session],
    data: CalibrationData | None,
    batch: int,
    options: LatencyOptions,
    progress: Callable[[int, int], None],
) -> list[LatencyRow]:
    feeds = {name: feed_of(s.model, data, batch, seed=options.seed) for name, s in sessions.items()}
    runs = {name: session.bind(feeds[name]) for name, session in sessions.items()}
    seconds = options.seconds / len(options.batches)
    plan = TimingPlan(options.rounds, options.warmup, options.sample_ms, seconds, options.seed)
    first = next(iter(sessions))
    if len(sessions) > 1:
        runs[_TWIN] = _open(sessions[first].model, options).bind(feeds[first])
    timed = time_interleaved(runs, plan, progress=progress)
    noise = noise_ratio(timed.times_ms[first], timed.times_ms.get(_TWIN), seed=options.seed)
    rows = []
    for name, session in sessions.items():
        peak = peak_memory_bytes(session.model, feeds[name], options.threads) if options.memory else None
        rows.append(_row(name, session, batch, timed, first, noise, options, peak))
    return rows


def _row(
    name: str,
    session: Session,
    batch: int,
    timed: TimedRounds,
    first: str,
    noise: float,
    options: LatencyOptions,
    peak: int | None,
) -> LatencyRow:
    times = timed.times_ms[name]
    middle = median_interval(times, seed=options.seed)
    ratio = speed_ratio(timed.times_ms[first], times, seed=options.seed)
    if name == first:
        ratio = Interval(1.0, 1.0, 1.0, "the baseline")
    ordered = sorted(times)
    return LatencyRow(
        model=name,
        batch=batch,
        provider=session.provider,
        median_ms=middle.value,
        low_ms=middle.low,
        high_ms=middle.high,
        p90_ms=float(ordered[-(-9 * len(ordered) // 10) - 1]),
        baseline=first,
        speed_ratio=ratio.value,
        speed_low_ratio=ratio.low,
        speed_high_ratio=ratio.high,
        verdict="baseline" if name == first else judge(ratio, noise),
        noise_ratio=noise,
        spread_ratio=spread_ratio(times),
        rounds=timed.rounds,
        runs_per_sample=timed.runs_per_sample[name],
        provider_node_ratio=session.placement.requested_ratio if session.placement else None,
        peak_memory_bytes=peak,
        warnings=_warnings(name, session, timed, options),
    )


def _warnings(name: str, session: Session, timed: TimedRounds, options: LatencyOptions) -> tuple[str, ...]:
    found = list(session.notes)
    if (spread := spread_ratio(timed.times_ms[name])) > WIDE_SPREAD:
        found.append(f"the samples spread by {spread:.0%} of the median: the machine was not quiet")
    if (share := timed.disturbed_ratio[name]) > MANY_DISTURBED:
        found.append(f"other work interrupted {share:.0%} of the samples: time again on an idle machine")
    if timed.is_cut_short:
        found.append(f"{timed.rounds} of {options.rounds} rounds fitted into the time")
    return tuple(found)
