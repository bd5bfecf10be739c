"""A report in a terminal: a table and a few lines; plain text in a pipe."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, TextIO

from ...core.safe_text import clean
from .formats import NOTHING, count, duration, interval, milliseconds, score, size, times
from .headline import headline
from .model import RunReport, Stage, StageLatency

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_NAME = 48
_TONES = {"good": "green", "bad": "red", "neutral": "bold"}
_PLAIN_WIDTH = 160


def print_report(report: RunReport, stream: TextIO | None = None) -> None:
    """Print a report: with colours on a terminal, plain elsewhere.

    Args:
        report: The report.
        stream: Where to; standard output where None.
    """
    from rich.console import Console

    stream = stream or sys.stdout
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if console.is_terminal and encoding.lower().startswith("utf"):
        _print(report, console)
    else:
        # a stream that cannot hold a character gets a question mark instead of an exception
        stream.write(render_terminal(report).encode(encoding, "replace").decode(encoding))


def render_terminal(report: RunReport, *, width: int = _PLAIN_WIDTH) -> str:
    """Render a report as plain text.

    Args:
        report: The report.
        width: Characters in a line.
    """
    from rich.console import Console

    stream = io.StringIO()
    _print(
        report, Console(file=stream, width=width, highlight=False, markup=False, emoji=False, no_color=True)
    )
    return stream.getvalue()


def _print(report: RunReport, console: Console) -> None:
    from rich.text import Text

    console.print(Text(clean(report.title, _NAME), style="bold"))
    for figure in headline(report):
        detail = " · ".join(part for part in (figure.detail, figure.certainty) if part)
        value = f"{figure.value} {clean(figure.label, _NAME)}"
        console.print(Text.assemble((value, _TONES[figure.tone]), ("  " + detail, "dim")))
    console.print(_table(report))
    for stage in report.stages:
        for text in (*stage.notes, *stage.warnings):
            style = "yellow" if text in stage.warnings else ""
            console.print(Text(f"{clean(stage.name, _NAME)}: {clean(text, 400)}", style=style))
    if report.skipped:
        stages = dict.fromkeys(item.stage for item in report.skipped)
        console.print(
            Text(f"{len(report.skipped)} nodes left alone in {len(stages)} stages; JSON names each")
        )


def _table(report: RunReport) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    batches = sorted({row.batch for stage in report.stages for row in stage.latency})
    table = Table(box=SIMPLE, pad_edge=False, header_style="dim")
    table.add_column("stage")
    titles = [
        clean(report.metric, _NAME),
        *[f"batch {b}" for b in batches],
        "size",
        "parameters",
        "MACs",
        "took",
    ]
    for title in titles:
        table.add_column(Text(title), justify="right")
    for stage in report.stages:
        cells = [_accuracy(report, stage)]
        cells += [_latency(next((r for r in stage.latency if r.batch == b), None)) for b in batches]
        cells += [size(stage.size_bytes), count(stage.params), count(stage.macs)]
        name = Text(clean(stage.name, _NAME), style="bold" if stage is report.result else "")
        table.add_row(name, *map(Text, cells), Text(duration(stage.seconds)))
    return table


def _accuracy(report: RunReport, stage: Stage) -> str:
    if stage.accuracy is None:
        return NOTHING
    ends = interval(stage.accuracy, is_share=report.is_share)
    return score(stage.accuracy.value, is_share=report.is_share) + (f" [{ends}]" if ends else "")


def _latency(row: StageLatency | None) -> str:
    if row is None:
        return NOTHING
    factor = f" {times(row.speed_ratio.value)}" if row.verdict in {"faster", "slower"} else ""
    return f"{milliseconds(row.median_ms.value)}{factor}"
