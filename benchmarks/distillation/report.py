"""The table and its sentences: means over seeds, differences seed by seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import t as student_t
from tables import NOTHING, markdown

HEAD = (
    "network",
    "parameters",
    "top-1 (mean over seeds, 95 %)",
    "against the student alone",
    "seconds",
    "what",
)


@dataclass(frozen=True)
class Row:
    """A network, or a way to teach it, with one figure for each seed.

    Attributes:
        name: What it is called.
        params: Trained parameters.
        top1: Share of test images that are right, for each seed.
        seconds: Training of one seed, on average.
        remark: What taught it.
    """

    name: str
    params: int
    top1: Sequence[float]
    seconds: float
    remark: str


def table(rows: Sequence[Row], alone: Row) -> str:
    """The table in Markdown, accuracy and differences to the student alone in percent and points."""
    lines = []
    for row in rows:
        mean, half = mean_and_half(row.top1)
        lines.append(
            (
                row.name,
                f"{row.params:,}",
                f"{100 * mean:.2f} %" + (f" ({_ends(mean, half)})" if half is not None else ""),
                _difference(row, alone),
                f"{row.seconds:.0f}",
                row.remark,
            )
        )
    return markdown(HEAD, lines)


def verdicts(rows: Sequence[Row], alone: Row) -> list[str]:
    """A sentence for every row that was taught: whether that helped."""
    return [_verdict(row, alone) for row in rows if len(row.top1) == len(alone.top1) > 1 and row is not alone]


def mean_and_half(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean, and half of its 95 % interval by Student's t; None where one value is all there is."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, None
    wide = float(student_t.ppf(0.975, len(values) - 1))
    return mean, wide * statistics.stdev(values) / math.sqrt(len(values))


def page(tables: Mapping[str, str], sentences: Sequence[str], about: str) -> str:
    """The whole page."""
    parts = ["# Distillation, form by form", about]
    for name, text in tables.items():
        parts += [f"## {name}", text]
    return "\n\n".join([*parts, "\n".join(f"* {sentence}" for sentence in sentences)]) + "\n"


def _differences(row: Row, alone: Row) -> tuple[float, float | None]:
    return mean_and_half([a - b for a, b in zip(row.top1, alone.top1, strict=True)])


def _difference(row: Row, alone: Row) -> str:
    if row is alone or len(row.top1) != len(alone.top1):
        return NOTHING
    mean, half = _differences(row, alone)
    return f"{100 * mean:+.2f}" + (f" ({_ends(mean, half, '+')})" if half is not None else "")


def _verdict(row: Row, alone: Row) -> str:
    mean, half = _differences(row, alone)
    assert half is not None
    ends = f"{100 * mean:+.2f} points, 95 % interval {_ends(mean, half, '+')}"
    if mean - half > 0:
        return f"**{row.name}** helped: {ends}."
    if mean + half < 0:
        return f"**{row.name}** did harm: {ends}."
    return f"**{row.name}** did not help, as far as {len(row.top1)} seeds can tell: {ends}."


def _ends(mean: float, half: float, sign: str = "") -> str:
    return f"{100 * (mean - half):{sign}.2f}..{100 * (mean + half):{sign}.2f}"
