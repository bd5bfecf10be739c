"""Figures without a window or global state, in the report's manner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .palette import Palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, HIGH = 5.2, 3.3
"""Inches; small, so that text keeps its size on a phone."""

NAME = 22
"""Characters of a name inside a plot."""

SMALL = 9
"""Points of a label's letters."""


def new_figure(colors: Palette, *, rows: int = 1, height: float = HIGH) -> tuple[Figure, Axes]:
    """A figure of one or more panels, one above the other, and its first panel.

    Args:
        colors: The colours.
        rows: How many panels.
        height: Inches in all.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDE, height), layout="constrained")
    figure.subplots(rows, 1)
    for panel in figure.axes:
        panel.tick_params(colors=colors.muted, length=0, labelsize=SMALL)
        panel.xaxis.label.set_color(colors.muted)
        panel.yaxis.label.set_color(colors.muted)
        panel.grid(color=colors.line, linewidth=0.8)
        panel.set_axisbelow(True)
        for spine in panel.spines.values():
            spine.set_color(colors.line)
    return figure, figure.axes[0]


def label_whole_steps(figure: Figure) -> None:
    """Label whole numbers only on the horizontal axes."""
    from matplotlib.ticker import MaxNLocator

    for panel in figure.axes:
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
