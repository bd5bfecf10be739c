"""What accuracy costs: stages, or the candidates of a search with their front and the budget."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.safe_text import clean
from .canvas import HIGH, NAME, SMALL, new_figure
from .labels import place_labels
from .model import Measured, Point, RunReport, Stage
from .palette import PRINT, Palette
from .svg import plot_settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CLOUD = 1500
"""Candidates off the front that are drawn."""

_LABELS = 8
"""Candidates of a search that are named."""


@dataclass(frozen=True)
class _Mark:
    """A point with both of its intervals.

    Attributes:
        name: What it is called.
        x: How many times faster or smaller.
        y: The metric.
        is_result: Whether it is the result.
    """

    name: str
    x: Measured
    y: Measured
    is_result: bool


def can_draw_pareto(report: RunReport) -> bool:
    """Whether at least two models have an accuracy and something to trade it for."""
    return bool(report.points) or len([s for s in report.models if s.accuracy is not None]) > 1


def pareto_figure(report: RunReport, colors: Palette, *, height: float = HIGH) -> Figure:
    """Accuracy against speed (against size where nothing was timed), with intervals, and the budget.

    Args:
        report: The report; :func:`can_draw_pareto` holds for it.
        colors: The colours.
        height: Inches that the figure is high.
    """
    figure, axes = new_figure(colors, height=height)
    factor = 100.0 if report.is_share else 1.0
    if report.points:
        axes.set_xlabel("times as fast as the first model")
        _cloud(axes, report, factor, colors)
        marks = _named(report)
    else:
        marks, title = _stage_marks(report)
        axes.set_xlabel(title)
        heights = [factor * mark.y.value for mark in marks]
        axes.plot([m.x.value for m in marks], heights, color=colors.soft, linewidth=1.2, zorder=1)
    for mark in marks:
        _draw(axes, mark, factor, colors)
    axes.set_ylabel(f"{clean(report.metric, NAME)}{' (%)' if report.is_share else ''}")
    axes.margins(0.2, 0.25)
    _budget(axes, report, factor, colors)
    _label(figure, axes, [(clean(m.name, NAME), (m.x.value, factor * m.y.value)) for m in marks], colors)
    return figure


def pareto_png(report: RunReport, *, dpi: int = 160, colors: Palette = PRINT) -> bytes:
    """The trade of accuracy for speed as a PNG, for a README.

    Args:
        report: The report; :func:`can_draw_pareto` holds for it.
        dpi: Dots an inch.
        colors: The colours.
    """
    with plot_settings():
        buffer = io.BytesIO()
        figure = pareto_figure(report, colors)
        figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _stage_marks(report: RunReport) -> tuple[list[_Mark], str]:
    """The stages' models, and what the horizontal axis says."""
    stages = [s for s in report.models if s.accuracy is not None]
    timed = [s for s in stages if s.latency]
    if len(timed) > 1:
        first = timed[0]
        title = f"times as fast as {clean(first.name, NAME)} (batch {first.latency[0].batch})"
        return [_mark(report, s, s.latency[0].speed_ratio) for s in timed], title
    base = stages[0].size_bytes or 1
    marks = [_mark(report, s, Measured(base / (s.size_bytes or base))) for s in stages]
    return marks, f"times as small as {clean(stages[0].name, NAME)}"


def _mark(report: RunReport, stage: Stage, x: Measured) -> _Mark:
    assert stage.accuracy is not None
    return _Mark(stage.name, x, stage.accuracy, stage is report.result)


def _named(report: RunReport) -> list[_Mark]:
    """The model that a search began with, its result, and what else is on the front, as far as names have room."""
    first = report.baseline
    start = (
        []
        if first is None or first.accuracy is None
        else [_Mark(first.name, Measured(1.0), first.accuracy, False)]
    )
    points = sorted(report.points, key=lambda p: (not p.taken, -p.speed_ratio.value))
    shown = [p for p in points if p.taken or p.on_front][:_LABELS]
    return [*start, *(_Mark(p.name, p.speed_ratio, p.accuracy, p.taken) for p in shown)]


def _cloud(axes: Axes, report: RunReport, factor: float, colors: Palette) -> None:
    """Every candidate as a small point, and the front as a line through its own."""
    beaten = [p for p in report.points if not p.on_front and not p.taken][:_CLOUD]
    axes.plot(*_places(beaten, factor), "o", color=colors.soft, markersize=4, zorder=1)
    front = sorted((p for p in report.points if p.on_front), key=lambda p: p.speed_ratio.value)
    axes.plot(*_places(front, factor), "-o", color=colors.second, linewidth=1.2, markersize=4, zorder=2)


def _places(points: Sequence[Point], factor: float) -> tuple[list[float], list[float]]:
    return [p.speed_ratio.value for p in points], [factor * p.accuracy.value for p in points]


def _draw(axes: Axes, mark: _Mark, factor: float, colors: Palette) -> None:
    """A point with both intervals as a cross behind it."""
    tone = colors.accent if mark.is_result else colors.second
    x, y = mark.x.value, factor * mark.y.value
    if mark.x.low is not None and mark.x.high is not None:
        axes.plot([mark.x.low, mark.x.high], [y, y], color=tone, linewidth=1.2, alpha=0.6, zorder=2)
    if mark.y.low is not None and mark.y.high is not None:
        ends = [factor * mark.y.low, factor * mark.y.high]
        axes.plot([x, x], ends, color=tone, linewidth=1.2, alpha=0.6, zorder=2)
    axes.plot([x], [y], "o", color=tone, markersize=7, zorder=3)


def _budget(axes: Axes, report: RunReport, factor: float, colors: Palette) -> None:
    """The line that no result may be beyond."""
    if report.budget is None:
        return
    height = factor * report.budget
    axes.axhline(height, color=colors.bad, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
    axes.annotate(
        "budget",
        (0.995, height),
        (0, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        color=colors.bad,
        fontsize=SMALL,
    )


def _label(
    figure: Figure, axes: Axes, named: Sequence[tuple[str, tuple[float, float]]], colors: Palette
) -> None:
    """Name each point, once it is known where on the page the points are."""
    figure.draw_without_rendering()
    inch = figure.dpi / 72
    shown = axes.transData.transform([place for _, place in named])
    points = [(float(x) / inch, float(y) / inch) for x, y in shown]
    offsets = place_labels(points, [(0.56 * SMALL * len(name), 1.2 * SMALL) for name, _ in named])
    for (name, place), offset in zip(named, offsets, strict=True):
        axes.annotate(
            name, place, offset, textcoords="offset points", color=colors.ink, fontsize=SMALL, zorder=4
        )
