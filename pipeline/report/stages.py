"""From a comparison to the stages of a report."""

from __future__ import annotations

from ...core.errors import UsageError
from ...runtime import Accuracy, CompareReport, CompareRow, Environment, Interval, LatencyRow
from ...runtime.metric_table import find_metric
from .model import Measured, RunReport, Stage, StageLatency


def report_of(report: CompareReport, *, title: str = "Comparison", command: str = "") -> RunReport:
    """Make a report of a comparison alone.

    Args:
        report: The comparison.
        title: Title of the report.
        command: The command that would do it again.
    """
    first = report.rows[0].accuracy
    return RunReport(
        title=title,
        metric=first.metric,
        stages=tuple(stage_of(row) for row in report.rows),
        higher_is_better=first.higher_is_better,
        is_share=is_share(first),
        environment=environment_of(report.environment),
        provenance={
            "samples": f"{report.samples} of {report.data_origin}",
            "samples sha256": report.data_fingerprint,
            **{f"{row.model} sha256": row.sha256 for row in report.rows},
        },
        command=command,
    )


def stage_of(row: CompareRow, *, kind: str = "") -> Stage:
    """Make a stage of one row of a comparison; ``dataclasses.replace`` adds what only the step knows."""
    warnings = [f"batch {r.batch}: {w}" for r in row.latency for w in r.warnings]
    return Stage(
        name=row.model,
        kind=kind,
        params=row.params,
        macs=row.macs,
        size_bytes=row.size_bytes,
        accuracy=measured(row.accuracy),
        drop=measured(row.drop),
        agreement=measured(row.agreement),
        latency=tuple(latency_of(r) for r in row.latency),
        warnings=(*row.accuracy.notes, *warnings),
    )


def latency_of(row: LatencyRow) -> StageLatency:
    """Make a stage's latency of one row of a measurement."""
    return StageLatency(
        batch=row.batch,
        median_ms=Measured(row.median_ms, row.low_ms, row.high_ms),
        speed_ratio=Measured(row.speed_ratio, row.speed_low_ratio, row.speed_high_ratio),
        verdict=row.verdict,
        provider=row.provider,
    )


def measured(figure: Accuracy | Interval | None) -> Measured | None:
    """Keep a figure's value and interval."""
    return None if figure is None else Measured(figure.value, figure.low, figure.high, figure.method)


def is_share(accuracy: Accuracy) -> bool:
    """Whether an accuracy is a share from 0 to 1, to be shown in percent."""
    return reads_in_percent(accuracy.metric)


def reads_in_percent(metric: str) -> bool:
    """Whether a metric of this name is at most 1; of a user's own nothing is known."""
    try:
        return find_metric(metric).is_ratio
    except UsageError:
        return False


def environment_of(environment: Environment) -> dict[str, str]:
    """Name and text of everything that a measurement depends on."""
    return {
        "processor": f"{environment.cpu}, {environment.cores} cores",
        "instructions": " ".join(environment.flags) or "unknown",
        "system": f"{environment.system}, {environment.machine}",
        "python": environment.python,
        **environment.versions,
        "providers": ", ".join(environment.providers),
        **environment.thread_variables,
    }
