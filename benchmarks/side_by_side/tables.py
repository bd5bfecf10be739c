"""Cells and sentences that the tables of all comparisons hold."""

from __future__ import annotations

from collections.abc import Sequence

from sardonyx.runtime import Accuracy, LatencyRow, environment_fingerprint

NOTHING = "–"
"""The cell of a figure that there is not."""


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table.

    Args:
        head: The names of the columns.
        lines: The cells of each line.
    """
    cells = [head, ("---",) * len(head), *lines]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in cells)


def number(value: float | None, digits: int = 0) -> str:
    """A figure, or the sign for none."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def accuracy_cell(top1: Accuracy | None) -> str:
    """A share of right answers in percent, with its interval."""
    if top1 is None or top1.low is None or top1.high is None:
        return NOTHING
    return f"{100 * top1.value:.2f} % ({100 * top1.low:.2f}..{100 * top1.high:.2f})"


def speed_cells(rows: Sequence[LatencyRow], batches: Sequence[int]) -> list[str]:
    """How many times as fast as the first file, with interval and verdict; a cell for each batch size."""
    at = {row.batch: _speed(row) for row in rows}
    return [at.get(batch, NOTHING) for batch in batches]


def machine(threads: int, whole: str) -> str:
    """What was measured on, and what speed means.

    Args:
        threads: Threads inside an operator.
        whole: What the first file is called, which speed is against.
    """
    here = environment_fingerprint()
    return (
        f"{here.cpu}, {here.cores} cores ({' '.join(here.flags)}), ONNX Runtime {here.versions['onnxruntime']}, "
        f"{threads} threads. Speed is the median of ratios against the {whole} model within rounds in which every file "
        "is timed once, with its 95 % interval."
    )


def _speed(row: LatencyRow) -> str:
    if row.verdict == "baseline":
        return "1x"
    ends = f"{row.speed_low_ratio:.2f}..{row.speed_high_ratio:.2f}"
    return f"{row.speed_ratio:.2f}x ({ends}) {row.verdict}"
