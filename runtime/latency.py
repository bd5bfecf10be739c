"""Latency of models against each other, with intervals and a verdict that noise cannot buy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..calib_data.data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import ProviderError, UsageError
from ..core.events import tell
from ..core.tensors import Feed
from .cold_cache import ASSUMED_BYTES, cache_walk, last_level_bytes
from .feeds import feed_of, fixed_batch
from .intervals import Interval, median_interval
from .latency_rows import LatencyOptions, LatencyReport, LatencyRow, LatencySkip
from .load_times import load_times
from .machine_state import conditions_between, observe
from .memory import peak_memory_bytes
from .pace import pace_model, relative_to_pace
from .providers import CPU
from .sessions import Session, open_session
from .tails import percentile_ms, samples_per_s
from .timing import LEAST_ROUNDS, MANY_DISTURBED, TimedRounds, TimingPlan, time_interleaved
from .verdict import WIDE_SPREAD, judge, noise_ratio, speed_ratio, spread_ratio
from .warmup import STEADY_RATIO

_TWIN = "\0twin"
"""The baseline's twin among the candidates."""

_PACE = "\0pace"
"""The pace among the candidates."""


def measure_latency(
    models: Mapping[str, ModelArtifact],
    data: CalibrationData | None,
    options: LatencyOptions | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> LatencyReport:
    """Time models against the first of them, interleaved.

    Where there is something to compare, the baseline is opened a second time and timed along: how far this twin
    differs from it is the noise that no difference may hide in. A model with weights beside it is its own twin. With
    ``options.pace`` a small workload of our own is timed along on the same provider; where the provider does not take
    it, a note says so.

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
    bench = _Bench(data, options, *_pace(options), _walk(options))
    rows: list[LatencyRow] = []
    skipped: list[LatencySkip] = []
    fixed = {name: fixed_batch(model, data) for name, model in models.items()}
    begin = observe()
    for index, batch in enumerate(options.batches):
        taken = {n: s for n, s in sessions.items() if fixed[n] in (None, batch)}
        skipped += [_skip(n, batch, fixed[n]) for n in models if n not in taken]
        share = _share(progress, index, len(options.batches))
        rows += _measure_batch(bench, taken, batch, share) if taken else []
    if not rows:
        raise UsageError(f"no model takes a batch of {options.batches}", remedy=skipped[0].reason)
    conditions = conditions_between(begin, observe())
    return LatencyReport(options, tuple(rows), tuple(skipped), conditions, _notes(bench))


@dataclass(frozen=True)
class _Bench:
    """What all batch sizes of a measurement share."""

    data: CalibrationData | None
    options: LatencyOptions
    pace: Session | None
    pace_trouble: str | None
    walk: Callable[[], None] | None


def _pace(options: LatencyOptions) -> tuple[Session | None, str | None]:
    """The pace on the models' own provider, or why there is none."""
    if not options.pace:
        return None, None
    model = pace_model()
    try:
        session = _open(model, options)
        session.run(feed_of(model, None, 1))
    except ProviderError as error:
        return None, f"no pace, so that these times compare with no other moment's: {error.cause}"
    return session, None


def _walk(options: LatencyOptions) -> Callable[[], None] | None:
    return cache_walk(last_level_bytes() or ASSUMED_BYTES) if options.cold else None


def _notes(bench: _Bench) -> tuple[str, ...]:
    found = [bench.pace_trouble] if bench.pace_trouble else []
    if bench.walk is not None:
        size = last_level_bytes()
        told = "the largest cache" if size else "what a cache is taken to hold, as this system does not tell"
        found.append(
            f"cold: ahead of each timed run a buffer of {2 * (size or ASSUMED_BYTES) / 2**20:.0f} MiB was written, "
            f"twice {told}"
        )
    return tuple(found)


def _check_options(models: Mapping[str, ModelArtifact], options: LatencyOptions) -> None:
    if not models:
        raise UsageError("there is no model to measure", remedy="name at least one model")
    if any("\0" in name for name in models):
        raise UsageError("a model's name holds a NUL", remedy="rename it")
    if not options.batches or min(options.batches) < 1:
        raise UsageError(f"batch sizes {options.batches} are not possible", remedy="use numbers from 1")
    if min(options.threads, options.loads) < 0:
        raise UsageError("fewer than 0 threads or loads is not possible", remedy="use 0 or more")
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
    bench: _Bench, sessions: Mapping[str, Session], batch: int, progress: Callable[[int, int], None]
) -> list[LatencyRow]:
    options = bench.options
    feeds = {name: feed_of(s.model, bench.data, batch, seed=options.seed) for name, s in sessions.items()}
    more = {name: _apart(session, feeds[name], options) for name, session in sessions.items()}
    runs = {name: session.bind(feeds[name]) for name, session in sessions.items()}
    seconds = options.seconds / len(options.batches)
    plan = TimingPlan(
        options.rounds, options.warmup, options.sample_ms, seconds, options.seed, bench.walk, filler=_PACE
    )
    first = next(iter(sessions))
    if len(sessions) > 1:
        runs[_TWIN] = _twin(sessions[first], options).bind(feeds[first])
    if bench.pace is not None:
        runs[_PACE] = bench.pace.bind(feed_of(bench.pace.model, None, 1))
    timed = time_interleaved(runs, plan, progress=progress)
    noise = noise_ratio(timed.times_ms[first], timed.times_ms.get(_TWIN), seed=options.seed)
    rows = [
        _row(name, session, batch, timed, first, noise, options, more[name])
        for name, session in sessions.items()
    ]
    for row in rows:
        tell(
            f"{row.model}: {row.median_ms:.4g} ms, batch {batch}",
            model=row.model,
            batch=batch,
            ms=row.median_ms,
        )
    return rows


def _twin(baseline: Session, options: LatencyOptions) -> Session:
    """The baseline a second time: opened anew, or the same session where its weights are not to be held twice.

    Where in memory a model lies makes one session quicker than another; with so many weights, that evens out.
    """
    return baseline if baseline.model.has_weights_beside else _open(baseline.model, options)


def _apart(session: Session, feed: Feed, options: LatencyOptions) -> dict[str, Any]:
    """What is measured of a model apart from the others: load time, first run and memory."""
    found: dict[str, Any] = {}
    if options.loads:
        times = load_times(lambda: _open(session.model, options), feed, options.loads)
        found |= {"load_ms": times.load_ms, "first_run_ms": times.first_run_ms}
    if options.memory and session.provider == CPU:
        found["peak_memory_bytes"] = peak_memory_bytes(session.model, feed, options.threads)
    return found


def _row(
    name: str,
    session: Session,
    batch: int,
    timed: TimedRounds,
    first: str,
    noise: float,
    options: LatencyOptions,
    more: Mapping[str, Any],
) -> LatencyRow:
    times, runs = timed.times_ms[name], timed.runs_ms[name]
    middle = median_interval(times, seed=options.seed)
    ratio = speed_ratio(timed.times_ms[first], times, seed=options.seed)
    if name == first:
        ratio = Interval(1.0, 1.0, 1.0, "the baseline")
    return LatencyRow(
        model=name,
        batch=batch,
        provider=session.provider,
        threads=options.threads,
        median_ms=middle.value,
        low_ms=middle.low,
        high_ms=middle.high,
        p90_ms=percentile_ms(runs, 90),
        p99_ms=percentile_ms(runs, 99),
        throughput_per_s=samples_per_s(runs, batch),
        baseline=first,
        speed_ratio=ratio.value,
        speed_low_ratio=ratio.low,
        speed_high_ratio=ratio.high,
        verdict="baseline" if name == first else judge(ratio, noise),
        noise_ratio=noise,
        spread_ratio=spread_ratio(times),
        rounds=timed.rounds,
        runs_per_sample=timed.runs_per_sample[name],
        warmup_runs=timed.warm_ups[name].runs,
        is_steady=timed.warm_ups[name].is_steady,
        provider_node_ratio=session.placement.requested_ratio if session.placement else None,
        warnings=_warnings(name, session, timed, options),
        **more,
        **_against_pace(name, timed, options.seed),
    )


def _against_pace(name: str, timed: TimedRounds, seed: int) -> dict[str, Any]:
    if _PACE not in timed.runs_ms:
        return {}
    found = median_interval(relative_to_pace(timed.runs_ms[name], timed.runs_ms[_PACE]), seed=seed)
    return {"pace_ratio": found.value, "pace_low_ratio": found.low, "pace_high_ratio": found.high}


def _warnings(name: str, session: Session, timed: TimedRounds, options: LatencyOptions) -> tuple[str, ...]:
    found = list(session.notes)
    if (spread := spread_ratio(timed.times_ms[name])) > WIDE_SPREAD:
        found.append(f"the samples spread by {spread:.0%} of the median: the machine was not quiet")
    if (share := timed.disturbed_ratio[name]) > MANY_DISTURBED:
        found.append(f"other work interrupted {share:.0%} of the samples: time again on an idle machine")
    if not (warm := timed.warm_ups[name]).is_steady:
        found.append(
            f"never ran steadily: after {warm.runs} runs two windows still differed by over {STEADY_RATIO:.0%}"
        )
    if options.memory and session.provider != CPU:
        found.append("peak memory is measured on the CPU only")
    if timed.is_cut_short:
        found.append(f"{timed.rounds} of {options.rounds} rounds fitted into the time")
    return tuple(found)
