"""What a measurement of latency is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.errors import UsageError
from .machine_state import Conditions
from .verdict import Verdict


@dataclass(frozen=True)
class LatencyOptions:
    """How latency is measured.

    Attributes:
        batches: Batch sizes.
        threads: Threads inside an operator; 0 leaves it to ONNX Runtime.
        rounds: Rounds; in each every model is timed once.
        warmup: Runs in a window of the warm-up, which goes on until two windows agree; 0 leaves it out.
        provider: The execution provider.
        seconds: Time to spend on all batch sizes together.
        sample_ms: A sample repeats the run until it takes at least this long.
        allow_fallback: Whether the CPU may stand in for the provider.
        provider_options: Options for the provider, as pairs of its own words.
        memory: Whether to measure the peak memory too (on the CPU, in a process of its own).
        seed: Seed of the order and of the bootstrap.
        cold: Whether the CPU's caches are emptied ahead of each timed run.
        loads: How often each model is opened anew for the load time and the first run; 0 leaves them out.
        pace: Whether the pace is timed along, so that times of two moments compare.
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
    cold: bool = False
    loads: int = 0
    pace: bool = False


@dataclass(frozen=True)
class LatencyRow:
    """One model at one batch size.

    Attributes:
        model: The model's name.
        batch: Samples in a run.
        provider: The provider that ran it.
        threads: Threads inside an operator; 0 is ONNX Runtime's choice.
        median_ms: Median over rounds of the median run, in milliseconds.
        low_ms: Lower end of the median's 95 % interval.
        high_ms: Upper end.
        p90_ms: 90 % of the runs are not above this; None of fewer than 10 runs.
        p99_ms: 99 % of the runs are not above this; None of fewer than 100 runs.
        throughput_per_s: Samples a second over all timed runs, slow ones included.
        baseline: The model that ratios are against: the first that takes this batch.
        speed_ratio: How many times faster than the baseline, the median over rounds; above 1 is faster.
        speed_low_ratio: Lower end of its 95 % interval.
        speed_high_ratio: Upper end.
        verdict: ``faster``, ``slower``, ``no difference``, or ``baseline``.
        noise_ratio: The difference from 1 that means nothing here: how far the baseline differs from itself.
        spread_ratio: Distance between the quartiles over the median.
        rounds: Rounds timed.
        runs_per_sample: Runs in one sample, whose median counts.
        warmup_runs: Untimed runs ahead.
        is_steady: Whether the warm-up ended because the model ran steadily, and not because its time was up.
        provider_node_ratio: Share of nodes that the provider ran, 0 to 1; None on the CPU.
        peak_memory_bytes: Memory that loading and running takes at its peak, where it was asked for.
        load_ms: Milliseconds to make a session, the median of a few; None where it was not asked for.
        first_run_ms: Milliseconds of a fresh session's first run, the median of a few.
        pace_ratio: How many times as long as the pace a run takes, the median over rounds; None without a pace.
        pace_low_ratio: Lower end of its 95 % interval.
        pace_high_ratio: Upper end.
        warnings: What makes the figure less certain, and fallbacks.
    """

    model: str
    batch: int
    provider: str
    threads: int
    median_ms: float
    low_ms: float
    high_ms: float
    p90_ms: float | None
    p99_ms: float | None
    throughput_per_s: float
    baseline: str
    speed_ratio: float
    speed_low_ratio: float
    speed_high_ratio: float
    verdict: Verdict
    noise_ratio: float
    spread_ratio: float
    rounds: int
    runs_per_sample: int
    warmup_runs: int
    is_steady: bool
    provider_node_ratio: float | None = None
    peak_memory_bytes: int | None = None
    load_ms: float | None = None
    first_run_ms: float | None = None
    pace_ratio: float | None = None
    pace_low_ratio: float | None = None
    pace_high_ratio: float | None = None
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
        conditions: The machine before and after, and what else ran on it.
        notes: What has to be said of all rows.
    """

    options: LatencyOptions
    rows: tuple[LatencyRow, ...]
    skipped: tuple[LatencySkip, ...] = ()
    conditions: Conditions | None = None
    notes: tuple[str, ...] = ()

    def row(self, model: str, batch: int) -> LatencyRow | None:
        """The row of a model at a batch size, or None where it was skipped."""
        return next((r for r in self.rows if (r.model, r.batch) == (model, batch)), None)

    def row_of(self, model: str, batch: int) -> LatencyRow:
        """The row of a model at the one batch size that it was timed at.

        Raises:
            UsageError: It was skipped: the model does not take that batch.
        """
        found = self.row(model, batch)
        if found is None:
            raise UsageError(
                f"the model does not take a batch of {batch}: {self.skipped[0].reason}",
                remedy="give --batch the model's own batch size",
            )
        return found
