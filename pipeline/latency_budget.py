"""Pruning to a share of the measured time: bisection over the share of the parameters, timed in turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..calib_data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import ExpectationError, UsageError
from ..passes.pruning import PruneReport
from ..runtime import LatencyOptions, measure_latency
from .monitor import Monitor

SMALLEST_SHARE = 0.02
"""No smaller share of the parameters is tried."""

_TRIALS = 6
_CORRECTIONS = 3
_STEP_BACK = 0.85
"""Where the finished cut is too slow, the share is multiplied by this and the cut made again."""

_TRIAL_SECONDS = 4.0
_FINAL_SECONDS = 15.0


@dataclass(frozen=True)
class Trial:
    """A cut that can be timed.

    Attributes:
        model: The cut model.
        report: How it was cut.
    """

    model: ModelArtifact
    report: PruneReport

    @property
    def macs_ratio(self) -> float | None:
        """Share of the multiply-accumulates left; None where it is unknown."""
        before, after = self.report.before, self.report.after
        if before is None or after is None or not before.macs or after.macs is None:
            return None
        return after.macs / before.macs


@dataclass(frozen=True)
class TrialRow:
    """What a trial measured.

    Attributes:
        params_ratio: Share of the parameters asked for.
        predicted_ratio: Share of the time that the multiply-accumulates promise.
        measured_ratio: Share of the uncut model's time, measured.
        low_ratio: Lower end of its 95 % interval.
        high_ratio: Upper end.
    """

    params_ratio: float
    predicted_ratio: float | None
    measured_ratio: float
    low_ratio: float
    high_ratio: float


@dataclass(frozen=True)
class LatencyBudget:
    """How a latency budget was met.

    Attributes:
        wanted_ratio: Share of the time that was asked for.
        batch: Batch size timed.
        threads: Threads timed with; 0 is ONNX Runtime's choice.
        result: The finished cut.
        trials: The cuts that were made on the way.
    """

    wanted_ratio: float
    batch: int
    threads: int
    result: TrialRow
    trials: tuple[TrialRow, ...]


def search_latency(
    uncut: ModelArtifact,
    wanted: float,
    *,
    rehearse: Callable[[float], Trial],
    perform: Callable[[float], Trial],
    batch: int,
    threads: int,
    seed: int,
    data: CalibrationData | None,
    monitor: Monitor,
) -> tuple[Trial, LatencyBudget]:
    """Find the largest share of the parameters that runs in the wanted share of the time.

    Args:
        uncut: What the time is a share of.
        wanted: The share, in (0, 1).
        rehearse: Makes a cheap cut to a share of the parameters, for timing only.
        perform: Makes the real one.
        batch: Batch size to time.
        threads: Threads to time with.
        seed: Seed of the timing's order.
        data: Samples to run; made up where None.
        monitor: Is told of each trial.

    Raises:
        UsageError: The share is out of range.
        ExpectationError: No cut is fast enough.
    """
    if not 0 < wanted < 1:
        raise UsageError(f"latency {wanted} is outside (0, 1)", remedy="give a share of the time, as 0.5")
    clock = _Clock(uncut, batch, threads, seed, data)
    rows: list[TrialRow] = []

    def time(share: float, trial: Trial, seconds: float) -> TrialRow:
        row = clock.time(share, trial, seconds)
        rows.append(row)
        predicted = "?" if row.predicted_ratio is None else f"{row.predicted_ratio:.2f}"
        monitor.note(
            f"parameters {share:.2f}: predicted {predicted} of the time, measured {row.measured_ratio:.2f}"
        )
        return row

    low, high = SMALLEST_SHARE, 1.0
    for _ in range(_TRIALS):
        middle = (low + high) / 2
        if time(middle, rehearse(middle), _TRIAL_SECONDS).measured_ratio <= wanted:
            low = middle
        else:
            high = middle
    share = low
    for _ in range(_CORRECTIONS):
        trial = perform(share)
        row = time(share, trial, _FINAL_SECONDS)
        if row.measured_ratio <= wanted:
            return trial, LatencyBudget(wanted, batch, threads, row, tuple(rows[:-1]))
        share = max(share * _STEP_BACK, SMALLEST_SHARE / 2)
    fastest = min(r.measured_ratio for r in rows)
    raise ExpectationError(
        f"no cut runs in {wanted:.2f} of the time: the fastest took {fastest:.2f}",
        remedy="ask for a larger share, quantize, or try --align auto on a quiet machine",
    )


@dataclass(frozen=True)
class _Clock:
    """Times a cut in turns with the uncut model."""

    uncut: ModelArtifact
    batch: int
    threads: int
    seed: int
    data: CalibrationData | None

    def time(self, share: float, trial: Trial, seconds: float) -> TrialRow:
        options = LatencyOptions(batches=(self.batch,), threads=self.threads, seconds=seconds, seed=self.seed)
        report = measure_latency({"uncut": self.uncut, "cut": trial.model}, self.data, options)
        row = report.row("cut", self.batch)
        if row is None:
            raise UsageError(
                f"the model does not take a batch of {self.batch}: {report.skipped[0].reason}",
                remedy="give --batch the model's own batch size",
            )
        return TrialRow(
            share, trial.macs_ratio, 1 / row.speed_ratio, 1 / row.speed_high_ratio, 1 / row.speed_low_ratio
        )
