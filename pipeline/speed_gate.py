"""A gate for speed: has a model become slower than an earlier document says?

Milliseconds of two moments do not compare, but times relative to the pace do (:mod:`sardonyx.runtime.pace`). The
gate compares those, with an interval that both measurements widen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..core.errors import DataError, ExpectationError, UsageError
from ..runtime import Environment, Interval, LatencyReport, LatencyRow, environment_fingerprint
from ..runtime.pace import PACE
from ..runtime.verdict import moments_ratio

if TYPE_CHECKING:
    from .bench_output import BenchDocument

_AGAIN = "make a new baseline: sardonyx bench MODEL … --json > baseline.json"
_SAME_COUNTS = ("cpu", "cores", "flags", "machine")
_SAME_VERSIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-qnn")


class Timing(NamedTuple):
    """What identifies a time.

    Attributes:
        model: The model's name.
        batch: Samples in a run.
        threads: Threads inside an operator; 0 is ONNX Runtime's choice.
        provider: The provider that was asked for.
    """

    model: str
    batch: int
    threads: int
    provider: str

    def __str__(self) -> str:
        threads = f"{self.threads or 'all'} thread{'' if self.threads == 1 else 's'}"
        return f"{self.model} at batch {self.batch}, {threads}, on {self.provider}"


@dataclass(frozen=True)
class GateRow:
    """One time against that of the baseline.

    Attributes:
        model: The model's name.
        batch: Samples in a run.
        threads: Threads inside an operator; 0 is ONNX Runtime's choice.
        provider: The provider that was asked for.
        time_ratio: Time relative to the pace, now over then; above 1 is slower.
        low_ratio: Lower end of its 95 % interval.
        high_ratio: Upper end.
        verdict: ``slower`` than allowed, the whole interval being above the limit; ``undecided`` where the time is
            above it and the interval is not; ``holds`` where the time is not.
    """

    model: str
    batch: int
    threads: int
    provider: str
    time_ratio: float
    low_ratio: float
    high_ratio: float
    verdict: Literal["slower", "holds", "undecided"]


@dataclass(frozen=True)
class Gate:
    """All times against those of an earlier document.

    Attributes:
        max_regression: How much slower a model may have become, as a ratio minus 1.
        rows: One for each time.
        notes: What differs between both measurements.
    """

    max_regression: float
    rows: tuple[GateRow, ...]
    notes: tuple[str, ...] = ()


def check_baseline(
    before: BenchDocument,
    models: Sequence[str],
    *,
    providers: Sequence[str],
    batches: Sequence[int],
    threads: Sequence[int],
    cold: bool = False,
) -> None:
    """Refuse a baseline that what is going to be timed cannot be held against, ahead of the timing.

    Args:
        before: The baseline.
        models: Names of the models.
        providers: The providers.
        batches: Batch sizes.
        threads: Numbers of threads.
        cold: Whether the caches are emptied ahead of each run.

    Raises:
        DataError: It lacks something that is to be timed, was made with another pace, or without one.
        UsageError: It has something that is not to be timed, or was made with ``cold`` the other way.
    """
    if before.pace != PACE:
        raise DataError(f"the baseline's pace is {before.pace}, this one's {PACE}", remedy=_AGAIN)
    if any(report.options.cold != cold for report in before.providers):
        raise UsageError("the baseline's caches were not as they are to be now", remedy="see --cold")
    wanted = {Timing(m, b, t, p) for m in models for b in batches for t in threads for p in providers}
    skipped = {
        Timing(s.model, s.batch, report.options.threads, report.options.provider)
        for report in before.providers
        for s in report.skipped
    }
    names = _renamed(before, models)
    had = {_known(key, names) for key, _ in _rows(before.providers)}
    _refuse_missing(wanted - {_known(key, names) for key in skipped}, had)


def hold_to_baseline(before: BenchDocument, reports: Sequence[LatencyReport], max_regression: float) -> Gate:
    """Compare times with those of an earlier document.

    Args:
        before: The earlier document.
        reports: What was measured now.
        max_regression: How much slower a model may have become, as a ratio minus 1.

    Raises:
        UsageError: The limit is no number of at least 0, or the baseline has a time that is not there now.
        DataError: A time is not in the baseline, or has no pace on either side.
    """
    if not (math.isfinite(max_regression) and max_regression >= 0):
        raise UsageError(f"--max-regression {max_regression:g}", remedy="give a share of at least 0, like 5%")
    now = dict(_rows(reports))
    names = _renamed(before, [key.model for key in now])
    then = {_known(key, names): row for key, row in _rows(before.providers)}
    _refuse_missing(set(now), set(then))
    rows = tuple(_judge(key, row, then[key], max_regression) for key, row in now.items())
    return Gate(max_regression, rows, tuple(_differences(before.environment, environment_fingerprint())))


def check_gate(gate: Gate) -> None:
    """Fail where a model has become slower than allowed.

    Raises:
        ExpectationError: One has; the slowest of them is named.
    """
    slow = [row for row in gate.rows if row.verdict == "slower"]
    if slow:
        worst = max(slow, key=lambda row: row.time_ratio)
        key = Timing(worst.model, worst.batch, worst.threads, worst.provider)
        more = f"; so have {len(slow) - 1} more" if len(slow) > 1 else ""
        raise ExpectationError(
            f"{key} takes {worst.time_ratio:.3f} times ({worst.low_ratio:.3f} to {worst.high_ratio:.3f}) as long as "
            f"in the baseline, more than {1 + gate.max_regression:g}{more}",
            remedy="see with `sardonyx profile OLD NEW` which nodes are slower, or make a new baseline",
        )


def _rows(reports: Sequence[LatencyReport]) -> Iterator[tuple[Timing, LatencyRow]]:
    for report in reports:
        for row in report.rows:
            yield Timing(row.model, row.batch, report.options.threads, report.options.provider), row


def _renamed(before: BenchDocument, models: Sequence[str]) -> dict[str, str]:
    """The baseline's name of a model to the one it has now: the same, or one file name in another folder."""
    old = {key.model for key, _ in _rows(before.providers)}
    old |= {skip.model for report in before.providers for skip in report.skipped}
    now = set(models)
    found = {}
    for name in old - now:
        alike = [other for other in now - old if PurePath(other).name == PurePath(name).name]
        rivals = [other for other in old - now if PurePath(other).name == PurePath(name).name]
        if len(alike) == len(rivals) == 1:
            found[name] = alike[0]
    return found


def _known(key: Timing, names: Mapping[str, str]) -> Timing:
    return key._replace(model=names.get(key.model, key.model))


def _refuse_missing(now: set[Timing], then: set[Timing]) -> None:
    for missing in sorted(now - then):
        raise DataError(f"the baseline does not have {missing}", remedy=_AGAIN)
    for missing in sorted(then - now):
        raise UsageError(
            f"the baseline has {missing}, which is not timed now",
            remedy="time the same, or make a new baseline",
        )


def _judge(key: Timing, now: LatencyRow, then: LatencyRow, allowed: float) -> GateRow:
    ratio = moments_ratio(_relative(key, now, "now"), _relative(key, then, "in the baseline"))
    limit = 1.0 + allowed
    verdict: Literal["slower", "holds", "undecided"] = "holds"
    if ratio.value > limit:
        verdict = "slower" if ratio.low > limit else "undecided"
    return GateRow(*key, ratio.value, ratio.low, ratio.high, verdict)


def _relative(key: Timing, row: LatencyRow, when: str) -> Interval:
    if row.pace_ratio is None or row.pace_low_ratio is None or row.pace_high_ratio is None:
        raise DataError(
            f"{key} has no pace {when}", remedy="gate on a provider that runs the pace, such as cpu"
        )
    return Interval(row.pace_ratio, row.pace_low_ratio, row.pace_high_ratio, "relative to the pace")


def _differences(before: Environment, now: Environment) -> Iterator[str]:
    """What makes the two machines two, which the pace evens out in part only."""
    for name in _SAME_COUNTS:
        old, new = getattr(before, name), getattr(now, name)
        if old != new:
            yield f"another machine: {name} was {_text(old)}, is {_text(new)}; the pace evens out a part of that"
    for package in _SAME_VERSIONS:
        versions = [environment.versions.get(package, "not there") for environment in (before, now)]
        if versions[0] != versions[1]:
            yield f"another ONNX Runtime: {package} was {versions[0]}, is {versions[1]}"


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
