"""Latencies for people: a table that fits a terminal, the rest below it, and what the gate found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .console import Console
from .show import show_timing_notes
from .text import count, shorten, size, table

if TYPE_CHECKING:
    from ..pipeline import Gate
    from ..runtime import LatencyReport, LatencyRow

_NAME = 17
"""Longer names are shortened, so that a line has room in 80 columns."""

_SHORT_NAME = 11
"""The same where there are more columns."""


def show_bench(console: Console, reports: Sequence[LatencyReport]) -> None:
    """Latencies, one table for each provider and number of threads; with ``-v`` a second one with what else is known.

    The second is shown without ``-v`` too where memory was asked for or the provider is not the CPU.
    """
    for report in reports:
        threads = report.options.threads or "all"
        ran = ", ".join(dict.fromkeys(row.provider for row in report.rows))
        console.say(
            f"{ran} (asked for: {report.options.provider}), threads {threads}, up to {report.options.rounds} "
            "rounds in turns"
        )
        headings = ("model", "batch", "ms", "±", "p99 ms", "samples/s", "speed", "")
        console.show(table(headings, [_main_row(row) for row in report.rows]))
        extra = any(r.provider_node_ratio is not None or r.peak_memory_bytes is not None for r in report.rows)
        if console.verbose or extra:
            console.show(_details(report.rows))
        show_timing_notes(console, report.rows, report.skipped)
        for note in (*report.notes, *(report.conditions.warnings if report.conditions else ())):
            console.say(f"note: {note}")


def show_gate(console: Console, gate: Gate) -> None:
    """Each time against that of the baseline, relative to the pace."""
    console.say(f"against the baseline, relative to the pace; {1 + gate.max_regression:g}x is allowed")
    rows = [
        (
            shorten(r.model, _NAME),
            r.batch,
            r.threads or "all",
            r.provider,
            f"{r.time_ratio:.3f}x",
            f"{r.low_ratio:.3f}..{r.high_ratio:.3f}",
            r.verdict,
        )
        for r in gate.rows
    ]
    console.show(table(("model", "batch", "threads", "ep", "time", "95 %", ""), rows))
    open_rows = [r for r in gate.rows if r.verdict == "undecided"]
    if open_rows:
        console.say(
            f"note: {len(open_rows)} undecided: above the limit, but not beyond the interval, which is no failure; "
            "more --rounds or a quieter machine decide"
        )
    for note in gate.notes:
        console.say(f"note: {note}")


def _main_row(row: LatencyRow) -> tuple[object, ...]:
    return (
        shorten(row.model, _NAME),
        row.batch,
        _ms(row.median_ms),
        f"{(row.high_ms - row.low_ms) / 2 / row.median_ms:.0%}",
        _ms(row.p99_ms),
        _rate(row.throughput_per_s),
        f"{row.speed_ratio:.2f}x",
        row.verdict,
    )


def _details(rows: Sequence[LatencyRow]) -> str:
    """What the first table has no room for; a column of which nothing is known is left out."""
    columns: dict[str, list[object]] = {
        "model": [shorten(r.model, _SHORT_NAME) for r in rows],
        "batch": [r.batch for r in rows],
        "95 % ms": [f"{r.low_ms:.3g}..{r.high_ms:.3g}" for r in rows],
        "p90": [_ms(r.p90_ms) for r in rows],
        "spread": [f"{r.spread_ratio:.0%}" for r in rows],
        "load": [_ms(r.load_ms) for r in rows],
        "first": [_ms(r.first_run_ms) for r in rows],
    }
    if any(r.provider_node_ratio is not None for r in rows):
        ratios = [r.provider_node_ratio for r in rows]
        columns["placed"] = ["" if ratio is None else f"{ratio:.0%}" for ratio in ratios]
    if any(r.peak_memory_bytes is not None for r in rows):
        columns["memory"] = [size(r.peak_memory_bytes) for r in rows]
    return table(tuple(columns), zip(*columns.values(), strict=True))


def _ms(number: float | None) -> str:
    """Milliseconds to four digits, as more are never certain; ``?`` where they were not measured."""
    if number is None:
        return "?"
    return f"{number:.4g}" if number < 1e4 else f"{number:.0f}"


def _rate(number: float) -> str:
    return count(number) if number >= 1e3 else f"{number:.3g}"
