"""What stages leave, layers and trainings. Each takes data and colours and returns a matplotlib figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.safe_text import clean
from .canvas import NAME, SMALL, label_whole_steps, new_figure
from .formats import count, milliseconds, size, times
from .model import Curve, Layer, Stage
from .palette import Palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = Sequence[float | None]


def waterfall_figure(stages: Sequence[Stage], colors: Palette) -> Figure:
    """Bytes, parameters and time of each stage's model: what is left, and behind it what the stage took away.

    Args:
        stages: Stages with a model.
        colors: The colours.
    """
    panels = _waterfall_panels(stages)
    figure, _ = new_figure(colors, rows=len(panels), height=waterfall_height(stages))
    for axes, panel in zip(figure.axes, panels, strict=True):
        _steps_down(axes, [clean(s.name, NAME) for s in stages], panel, colors)
    return figure


def waterfall_height(stages: Sequence[Stage]) -> float:
    """Inches that :func:`waterfall_figure` is high."""
    return len(_waterfall_panels(stages)) * (0.42 + 0.29 * len(stages))


def curves_figure(curves: Sequence[Curve], colors: Palette) -> Figure:
    """Trainings of one kind of figure, one line a stage.

    Args:
        curves: Curves with the same label, each with a finite value.
        colors: The colours.
    """
    figure, axes = new_figure(colors)
    tones = (colors.accent, colors.second, colors.good, colors.muted)
    for index, curve in enumerate(curves):
        points = [(x, y) for x, y in zip(curve.steps, curve.values, strict=True) if _is_finite(y)]
        name = clean(curve.stage, NAME)
        axes.plot(*zip(*points, strict=True), color=tones[index % len(tones)], linewidth=1.8, label=name)
    label_whole_steps(figure)
    axes.set_xlabel("step")
    axes.set_ylabel(clean(curves[0].label, NAME))
    if len(curves) > 1:
        axes.legend(frameon=False, labelcolor=colors.ink, loc="best")
    return figure


def can_draw_curve(curve: Curve) -> bool:
    """Whether any value of a curve is finite."""
    return any(map(_is_finite, curve.values))


def layers_figure(label: str, values: Values, colors: Palette) -> Figure:
    """One figure of every layer, one bar a layer in the order of the network.

    Args:
        label: What is drawn, with its unit.
        values: The figure of each layer; None leaves a gap.
        colors: The colours.
    """
    figure, axes = new_figure(colors, height=2.4)
    known = [(i, v) for i, v in enumerate(values) if v is not None and math.isfinite(v)]
    axes.bar([i for i, _ in known], [v for _, v in known], width=0.8, color=colors.accent, linewidth=0)
    axes.set_ylabel(label)
    axes.set_xlim(-0.8, len(values) - 0.2)
    label_whole_steps(figure)
    axes.set_xlabel("layer, in the order of the network")
    return figure


def layer_panels(layers: Sequence[Layer]) -> list[tuple[str, str, Values]]:
    """Title, label and values of each figure that is known of a layer."""
    cut = [None if layer.cut_ratio is None else 100.0 * layer.cut_ratio for layer in layers]
    panels: list[tuple[str, str, Values]] = [
        ("What was cut", "channels cut (%)", cut),
        ("Signal to noise of the integers", "SQNR (dB)", [layer.sqnr_db for layer in layers]),
    ]
    return [panel for panel in panels if any(map(_is_finite, panel[2]))]


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


@dataclass(frozen=True)
class _Panel:
    """One figure of every stage.

    Attributes:
        title: What it is.
        values: The figure of each stage; None where it is not known.
        texts: What stands behind the bar of each.
    """

    title: str
    values: Values
    texts: Sequence[str]


def _waterfall_panels(stages: Sequence[Stage]) -> list[_Panel]:
    """The figures that are known of more than one stage; no factor is given to a time within the noise."""
    first = next((s.latency[0].batch for s in stages if s.latency), 0)
    rows = [next((r for r in s.latency if r.batch == first), None) for s in stages]
    is_sure = [row is None or row.verdict != "no difference" for row in rows]
    found = [
        _panel("file size", [s.size_bytes for s in stages], lambda value: size(int(value))),
        _panel("parameters", [s.params for s in stages], lambda value: count(int(value))),
        _panel(
            f"time of a run, batch {first}",
            [None if r is None else r.median_ms.value for r in rows],
            milliseconds,
            is_sure,
        ),
    ]
    return [panel for panel in found if sum(value is not None for value in panel.values) > 1]


def _panel(
    title: str, values: Values, show: Callable[[float], str], is_sure: Sequence[bool] | None = None
) -> _Panel:
    start = next((value for value in values if value is not None), 0.0)
    texts = []
    for value, sure in zip(values, is_sure or [True] * len(values), strict=True):
        factor = f" · {times(start / value)} less" if value and start > value and sure else ""
        texts.append("" if value is None else f"{show(value)}{factor}")
    return _Panel(title, values, texts)


def _steps_down(axes: Axes, names: Sequence[str], panel: _Panel, colors: Palette) -> None:
    """Horizontal bars, the first on top: what is left, and what has gone since the bar above."""
    axes.set_yticks(range(len(names)), names, color=colors.ink)
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xlim(0, max(value or 0.0 for value in panel.values) * 1.55 or 1.0)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_title(panel.title, color=colors.muted, fontsize=10, loc="left")
    before = 0.0
    for row, (value, text) in enumerate(zip(panel.values, panel.texts, strict=True)):
        if value is None:
            continue
        tone = colors.second if row == 0 else colors.accent
        axes.barh([row], [value], height=0.62, color=tone, linewidth=0)
        gone = max(before - value, 0.0)
        axes.barh([row], [gone], left=value, height=0.62, color=colors.soft, alpha=0.45, linewidth=0)
        axes.annotate(
            text,
            (value + gone, row),
            (5, 0),
            textcoords="offset points",
            va="center",
            color=colors.muted,
            fontsize=SMALL,
        )
        before = value
