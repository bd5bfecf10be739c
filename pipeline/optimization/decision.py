"""Which candidate is taken: the fastest inside the budget, by a measurement of its own, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...calib_data import CalibrationData
from ...core import ModelArtifact
from ...runtime import CompareReport, CompareRow, LatencyOptions, LatencyRow, compare
from ..monitor import Monitor
from .candidates import Candidate, pareto_front
from .options import OptimizeOptions

ORIGINAL = "original"
"""What the model that a search begins with is called in its tables."""

_FINALISTS = 5
_SECONDS = 45.0


@dataclass(frozen=True)
class Decision:
    """What was decided.

    Attributes:
        taken: The candidate that is the result; None where the original is not beaten.
        reason: Why it was taken, or why none was.
        finalists: Those that were measured at length, the fastest first.
        comparison: The original and the finalists side by side, in turns; None where no candidate was inside the
            budget.
    """

    taken: Candidate | None
    reason: str
    finalists: tuple[Candidate, ...]
    comparison: CompareReport | None


def decide(
    original: ModelArtifact,
    candidates: Sequence[Candidate],
    data: CalibrationData,
    options: OptimizeOptions,
    monitor: Monitor,
) -> Decision:
    """Measure the best candidates in turns with the original, and take the fastest.

    Args:
        original: The model that the search began with.
        candidates: All that was made.
        data: The evaluation samples.
        options: The budget.
        monitor: Is told that it is measured.
    """
    inside = [c for c in candidates if c.holds(options.max_drop, options.max_bytes)]
    finalists = _finalists(inside)
    if not finalists:
        return Decision(None, _none_inside(candidates, options), (), None)
    models = {c.name: ModelArtifact.open(c.file) for c in finalists}
    timing = LatencyOptions(
        batches=(options.batch,),
        threads=options.threads,
        provider=options.provider,
        seconds=_SECONDS,
        seed=options.seed,
    )
    with monitor.progress("measuring the best in turns") as progress:
        report = compare({ORIGINAL: original, **models}, data, options.metric, timing, progress=progress)
    ranked = sorted(finalists, key=lambda c: -_timed(report.row(c.name)).speed_ratio)
    taken = next((c for c in ranked if _is_better(report.row(c.name), original, options)), None)
    reason = _reason(taken, ranked[0], report, options)
    return Decision(taken, reason, tuple(ranked), report)


def _finalists(inside: Sequence[Candidate]) -> list[Candidate]:
    """The fastest few; of equals in speed the one that loses less, and one that loses least."""
    ranked = sorted(inside, key=lambda c: (-c.speed_ratio, c.lost))[:_FINALISTS]
    front = pareto_front(inside)
    return ranked if not front or front[-1] in ranked else [*ranked[:-1], front[-1]]


def _is_better(row: CompareRow, original: ModelArtifact, options: OptimizeOptions) -> bool:
    """Faster beyond the noise; or no slower, where a size was asked for that the original does not have."""
    verdict = _timed(row).verdict
    wanted = options.max_bytes is not None and original.size_bytes > options.max_bytes
    return verdict == "faster" or (wanted and verdict == "no difference")


def _reason(taken: Candidate | None, best: Candidate, report: CompareReport, options: OptimizeOptions) -> str:
    timed = _timed(report.row((taken or best).name))
    ends = f"{timed.speed_ratio:.2f}x ({timed.speed_low_ratio:.2f} to {timed.speed_high_ratio:.2f})"
    if taken is None:
        return f"the best of {len(report.rows) - 1} inside the budget, {best.name}, runs at {ends}: {timed.verdict}"
    return (
        f"{taken.name} is the fastest of {len(report.rows) - 1} measured in turns: {ends} at batch {options.batch}, "
        f"{options.metric} lost {taken.lost:.4f} of {options.max_drop:g} allowed"
    )


def _none_inside(candidates: Sequence[Candidate], options: OptimizeOptions) -> str:
    if not candidates:
        return "no candidate could be made"
    close = min(candidates, key=lambda c: c.lost)
    size = "" if options.max_bytes is None else f" and at most {options.max_bytes} bytes"
    return (
        f"none of {len(candidates)} candidates loses at most {options.max_drop:g}{size}: {close.name} loses least, "
        f"{close.lost:.4f}"
    )


def _timed(row: CompareRow) -> LatencyRow:
    return row.latency[0]
