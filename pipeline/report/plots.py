"""The plots of a report. Each takes data and colours and returns a matplotlib figure."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .formats import count, size, times
from .labels import place_labels
from .model import Curve, Layer, RunReport, Stage
from .palette import PRINT, Palette
from .safe_text import clean
from .svg import plot_settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDE, _HIGH = 5.2, 3.3
"""Inches; small, so that text keeps its size on a phone."""

_SMALL = 9
"""Points of a label's letters."""

_NAME = 22
"""Characters of a name inside a plot."""


def can_draw_pareto(report: RunReport) -> bool:
    """Whether at least two models have an accuracy and something to trade it for."""
    return len([s for s in report.models if s.accuracy is not None]) > 1


def pareto_figure(report: RunReport, colors: Palette) -> Figure:
    """Accuracy against speed (against size where nothing was timed), with intervals.

    Args:
        report: The report; :func:`can_draw_pareto` holds for it.
        colors: The colours.
    """
    figure, axes = _figure(colors)
    stages = [s for s in report.models if s.accuracy is not None]
    timed = [s for s in stages if s.latency]
    factor = 100.0 if report.is_share else 1.0
    if len(timed) > 1:
        stages = timed
        places = _pareto_points(axes, stages, [_speed(s) for s in stages], factor, report, colors)
        axes.set_xlabel(f"times as fast as {clean(timed[0].name, _NAME)} (batch {timed[0].latency[0].batch})")
    else:
        base = stages[0].size_bytes or 1
        points = [(base / (s.size_bytes or base), None, None) for s in stages]
        places = _pareto_points(axes, stages, points, factor, report, colors)
        axes.set_xlabel(f"times as small as {clean(stages[0].name, _NAME)}")
    axes.set_ylabel(f"{clean(report.metric, _NAME)}{' (%)' if report.is_share else ''}")
    axes.margins(0.2, 0.25)
    _label_points(figure, axes, [clean(s.name, _NAME) for s in stages], places, colors)
    return figure


def waterfall_figure(stages: Sequence[Stage], colors: Palette) -> Figure:
    """Bytes and parameters of each stage's model, one bar each, with the share that is left.

    Args:
        stages: Stages with a model.
        colors: The colours.
    """
    both = any(s.params for s in stages)
    height = 0.9 + 0.34 * len(stages)
    figure, _ = _figure(colors, columns=2 if both else 1, height=height)
    axes = figure.axes
    _bars(axes[0], stages, [s.size_bytes or 0 for s in stages], "file size", size, colors)
    if both:
        _bars(axes[1], stages, [s.params or 0 for s in stages], "parameters", count, colors)
        axes[1].set_yticklabels([])
    return figure


def curves_figure(curves: Sequence[Curve], colors: Palette) -> Figure:
    """Trainings of one kind of figure, one line a stage.

    Args:
        curves: Curves with the same label.
        colors: The colours.
    """
    figure, axes = _figure(colors)
    tones = (colors.accent, colors.second, colors.good, colors.muted)
    for index, curve in enumerate(curves):
        points = [(x, y) for x, y in zip(curve.steps, curve.values, strict=True) if math.isfinite(y)]
        name = clean(curve.stage, _NAME)
        axes.plot(*zip(*points, strict=True), color=tones[index % len(tones)], linewidth=1.8, label=name)
    _whole_steps(figure)
    axes.set_xlabel("step")
    axes.set_ylabel(clean(curves[0].label, _NAME))
    if len(curves) > 1:
        axes.legend(frameon=False, labelcolor=colors.ink, loc="best")
    return figure


def layers_figure(layers: Sequence[Layer], colors: Palette) -> Figure:
    """Share of channels cut and signal-to-noise ratio, one bar a layer in the order of the network.

    Args:
        layers: The layers; those without either figure leave a gap.
        colors: The colours.
    """
    panels = _layer_panels(layers)
    figure, _ = _figure(colors, rows=len(panels), height=1.1 + 1.35 * len(panels))
    for index, (label, values) in enumerate(panels):
        panel = figure.axes[index]
        known = [(i, v) for i, v in enumerate(values) if v is not None and math.isfinite(v)]
        tone = colors.accent if label.startswith("cut") else colors.second
        panel.bar([i for i, _ in known], [v for _, v in known], width=0.8, color=tone, linewidth=0)
        panel.set_ylabel(label)
        panel.set_xlim(-0.8, len(layers) - 0.2)
        if label.startswith("cut"):
            panel.set_ylim(0, 100)
    _whole_steps(figure)
    figure.axes[-1].set_xlabel("layer, in the order of the network")
    return figure


def can_draw_layers(layers: Sequence[Layer]) -> bool:
    """Whether any layer has a figure."""
    return bool(_layer_panels(layers))


def pareto_png(report: RunReport, *, dpi: int = 160, colors: Palette = PRINT) -> bytes:
    """The trade of accuracy for speed as a PNG, for a README.

    Args:
        report: The report; at least two of its models have an accuracy.
        dpi: Dots an inch.
        colors: The colours.
    """
    with plot_settings():
        buffer = io.BytesIO()
        figure = pareto_figure(report, colors)
        figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _layer_panels(layers: Sequence[Layer]) -> list[tuple[str, list[float | None]]]:
    cut = [None if layer.cut_ratio is None else 100.0 * layer.cut_ratio for layer in layers]
    noise = [layer.sqnr_db for layer in layers]
    panels = [("cut (%)", cut), ("SQNR (dB)", noise)]
    return [(label, values) for label, values in panels if any(v is not None for v in values)]


def _figure(
    colors: Palette, *, rows: int = 1, columns: int = 1, height: float = _HIGH
) -> tuple[Figure, Axes]:
    """A figure without a window or global state, and its first axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDE, height), layout="constrained")
    figure.subplots(rows, columns)
    for panel in figure.axes:
        panel.tick_params(colors=colors.muted, length=0, labelsize=9)
        panel.xaxis.label.set_color(colors.muted)
        panel.yaxis.label.set_color(colors.muted)
        panel.grid(color=colors.line, linewidth=0.8)
        panel.set_axisbelow(True)
        for spine in panel.spines.values():
            spine.set_color(colors.line)
    return figure, figure.axes[0]


def _whole_steps(figure: Figure) -> None:
    """Label whole numbers only on the horizontal axes."""
    from matplotlib.ticker import MaxNLocator

    for panel in figure.axes:
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))


def _speed(stage: Stage) -> tuple[float, float | None, float | None]:
    ratio = stage.latency[0].speed_ratio
    return ratio.value, ratio.low, ratio.high


def _pareto_points(
    axes: Axes,
    stages: Sequence[Stage],
    positions: Sequence[tuple[float, float | None, float | None]],
    factor: float,
    report: RunReport,
    colors: Palette,
) -> list[tuple[float, float]]:
    """One point a stage with both intervals, joined in the order of the stages; returns where they are."""
    heights = [factor * s.accuracy.value for s in stages if s.accuracy is not None]
    axes.plot([p[0] for p in positions], heights, color=colors.soft, linewidth=1.2, zorder=1)
    for stage, (x, low, high), y in zip(stages, positions, heights, strict=True):
        tone = colors.accent if stage is report.result else colors.second
        if low is not None and high is not None:
            axes.plot([low, high], [y, y], color=tone, linewidth=1.2, alpha=0.6, zorder=2)
        a = stage.accuracy
        if a is not None and a.low is not None and a.high is not None:
            axes.plot(
                [x, x], [factor * a.low, factor * a.high], color=tone, linewidth=1.2, alpha=0.6, zorder=2
            )
        axes.plot([x], [y], "o", color=tone, markersize=7, zorder=3)
    return [(x, y) for (x, _, _), y in zip(positions, heights, strict=True)]


def _label_points(
    figure: Figure,
    axes: Axes,
    names: Sequence[str],
    places: Sequence[tuple[float, float]],
    colors: Palette,
) -> None:
    """Name each point, once it is known where on the page the points are."""
    figure.draw_without_rendering()
    inch = figure.dpi / 72
    points = [(float(x) / inch, float(y) / inch) for x, y in axes.transData.transform(list(places))]
    offsets = place_labels(points, [(0.56 * _SMALL * len(name), 1.2 * _SMALL) for name in names])
    for name, place, offset in zip(names, places, offsets, strict=True):
        axes.annotate(
            name, place, offset, textcoords="offset points", color=colors.ink, fontsize=_SMALL, zorder=4
        )


def _bars(
    axes: Axes, stages: Sequence[Stage], values: Sequence[int], title: str, show: object, colors: Palette
) -> None:
    """Horizontal bars, the first on top, with value and factor behind each."""
    assert callable(show)
    rows = range(len(stages))
    axes.barh(
        rows, values, height=0.62, color=[colors.second, *[colors.accent] * (len(stages) - 1)], linewidth=0
    )
    axes.set_yticks(rows, [clean(s.name, _NAME) for s in stages], color=colors.ink)
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xlim(0, max([*values, 1]) * 1.75)
    axes.set_title(title, color=colors.muted, fontsize=10, loc="left")
    for row, value in enumerate(values):
        factor = f" · {times(values[0] / value)} less" if row and value and values[0] > value else ""
        axes.annotate(
            f"{show(value)}{factor}",
            (value, row),
            (5, 0),
            textcoords="offset points",
            va="center",
            color=colors.muted,
            fontsize=9,
        )
