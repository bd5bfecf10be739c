"""Pruning to a share of the measured time: predicted from a table of layer times, measured in turns, and corrected."""

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
"""No smaller share of the time is asked of the prediction."""

_TRIALS = 5
_CORRECTIONS = 3
_CLOSE = 0.95
"""A trial that takes between this share of the wanted time and all of it is near enough."""

_AIM = 0.98
"""Share of the wanted time that a correction aims at, so that noise does not make it one too many."""

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
    def predicted_ratio(self) -> float | None:
        """Share of the time that the table of layer times promises; None where no table was asked."""
        left = self.report.budget.get("left") if self.report.budget.get("kind") == "time" else None
        return None if left is None else float(left)

    @property
    def params_ratio(self) -> float | None:
        """Share of the parameters left."""
        before, after = self.report.before, self.report.after
        return None if before is None or after is None else after.params / max(before.params, 1)


@dataclass(frozen=True)
class TrialRow:
    """What a trial measured.

    Attributes:
        asked_ratio: Share of the time that the prediction was asked for.
        params_ratio: Share of the parameters left.
        predicted_ratio: Share of the time that the table of layer times promises.
        measured_ratio: Share of the uncut model's time, measured.
        low_ratio: Lower end of its 95 % interval.
        high_ratio: Upper end.
    """

    asked_ratio: float
    params_ratio: float | None
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
    """Find the cut that gives up least and runs in the wanted share of the time.

    Args:
        uncut: What the time is a share of.
        wanted: The share, in (0, 1).
        rehearse: Makes a cheap cut to a predicted share of the time, for timing only.
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
    check_wanted(wanted)
    clock = _Clock(uncut, batch, threads, seed, data)
    search = _Search(wanted)
    for _ in range(_TRIALS):
        row = clock.time(search.asked, rehearse(search.asked), _TRIAL_SECONDS)
        _tell(monitor, "trial", row)
        search.learn(row)
        if search.is_close(row):
            break
    for _ in range(_CORRECTIONS):
        asked = search.asked
        trial = perform(asked)
        row = clock.time(asked, trial, _FINAL_SECONDS)
        _tell(monitor, "cut", row)
        search.learn(row)
        if row.measured_ratio <= wanted:
            return trial, LatencyBudget(wanted, batch, threads, row, tuple(search.rows[:-1]))
    fastest = min(r.measured_ratio for r in search.rows)
    raise ExpectationError(
        f"no cut runs in {wanted:.2f} of the time: the fastest took {fastest:.2f}",
        remedy="ask for a larger share, quantize, or try --align auto on a quiet machine",
    )


def check_wanted(wanted: float) -> None:
    """Refuse what is no share of a time.

    Raises:
        UsageError: It is outside (0, 1).
    """
    if not 0 < wanted < 1:
        raise UsageError(f"latency {wanted} is outside (0, 1)", remedy="give a share of the time, as 0.5")


class _Search:
    """What to ask of the prediction next, from what was measured so far.

    Attributes:
        asked: The share to ask for.
        rows: What was measured.
    """

    def __init__(self, wanted: float) -> None:
        self.wanted = wanted
        self.asked = wanted
        self.rows: list[TrialRow] = []
        self._low, self._high = SMALLEST_SHARE, 1.0

    def is_close(self, row: TrialRow) -> bool:
        """Whether a trial was just fast enough: the same is then asked of the real cut."""
        return _CLOSE * self.wanted <= row.measured_ratio <= self.wanted

    def learn(self, row: TrialRow) -> None:
        """Correct in proportion, within what is known to be fast enough and too slow."""
        self.rows.append(row)
        if self.is_close(row):
            self.asked = row.asked_ratio
            return
        if row.measured_ratio <= self.wanted:
            self._low = max(self._low, row.asked_ratio)
        else:
            self._high = min(self._high, row.asked_ratio)
        # What was too slow once, by noise or not, bounds nothing below it.
        self._low = min(self._low, self._high * _CLOSE)
        corrected = row.asked_ratio * self.wanted * _AIM / row.measured_ratio
        inside = self._low < corrected < self._high
        self.asked = max(corrected if inside else (self._low + self._high) / 2, SMALLEST_SHARE)


def _tell(monitor: Monitor, what: str, row: TrialRow) -> None:
    predicted = "?" if row.predicted_ratio is None else f"{row.predicted_ratio:.2f}"
    params = "?" if row.params_ratio is None else f"{row.params_ratio:.2f}"
    monitor.note(
        f"{what} with {params} of the parameters: predicted {predicted} of the time, measured {row.measured_ratio:.2f}"
    )


@dataclass(frozen=True)
class _Clock:
    """Times a cut in turns with the uncut model."""

    uncut: ModelArtifact
    batch: int
    threads: int
    seed: int
    data: CalibrationData | None

    def time(self, asked: float, trial: Trial, seconds: float) -> TrialRow:
        options = LatencyOptions(batches=(self.batch,), threads=self.threads, seconds=seconds, seed=self.seed)
        report = measure_latency({"uncut": self.uncut, "cut": trial.model}, self.data, options)
        row = report.row_of("cut", self.batch)
        return TrialRow(
            asked,
            trial.params_ratio,
            trial.predicted_ratio,
            1 / row.speed_ratio,
            1 / row.speed_high_ratio,
            1 / row.speed_low_ratio,
        )
