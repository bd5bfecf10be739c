"""One self-contained HTML page: no script, nothing loaded from anywhere, names escaped and cut."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from importlib import resources
from typing import TYPE_CHECKING, Any

from .formats import NOTHING, change, count, digits, duration, interval, milliseconds, score, size, times
from .headline import headline
from .model import Curve, RunReport, SkippedItem
from .palette import PAGE
from .plots import (
    can_draw_layers,
    can_draw_pareto,
    curves_figure,
    layers_figure,
    pareto_figure,
    waterfall_figure,
)
from .safe_text import LONGEST, clean
from .svg import inline_svg, plot_settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROWS = 400
"""Rows of a long table that are shown; JSON has all of them."""

_LONG_TEXT = 600
"""Characters of a sentence that are shown."""


def render_html(report: RunReport) -> str:
    """Render a report as one HTML page.

    Every string is escaped where it stands, cut, and freed of control characters; the page forbids scripts and
    loading anything by its own content security policy.

    Args:
        report: The report.

    Returns:
        The page; the same bytes for the same report.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_finalize, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(
        count=count,
        size=size,
        ms=milliseconds,
        duration=duration,
        interval=interval,
        digits=digits,
        times=times,
    )
    environment.filters["name"] = lambda text: clean(text, LONGEST)
    template = environment.from_string(_text("report.html.j2"))
    return template.render(report=report, **_view(report))


def _view(report: RunReport) -> dict[str, Any]:
    """What the template shows besides the report itself."""
    batches = sorted({row.batch for stage in report.stages for row in stage.latency})
    skipped = _by_reason(report.skipped)
    return {
        "style": _markup(_text("report.css")),
        "figures": headline(report),
        "batches": batches,
        "latency": {s.name: {row.batch: row for row in s.latency} for s in report.stages},
        "score": lambda value: score(value, is_share=report.is_share),
        "change": lambda value: change(value, is_share=report.is_share),
        "plots": _plots(report),
        "noted": [s for s in report.stages if s.notes or s.warnings],
        "layers": report.layers[:_ROWS],
        "layers_more": max(len(report.layers) - _ROWS, 0),
        "skipped": skipped,
        "rows": _ROWS,
        "nothing": NOTHING,
        "total_seconds": sum(s.seconds for s in report.stages if s.seconds is not None) or None,
    }


def _finalize(value: Any) -> Any:
    """Clean every string that the template prints, unless it is markup made here."""
    from markupsafe import Markup

    if isinstance(value, str) and not isinstance(value, Markup):
        return clean(value, _LONG_TEXT)
    return value


def _markup(text: str) -> Any:
    """Text that is not escaped: our own style sheet, and plots whose texts matplotlib has escaped."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - never given text from a model


def _by_reason(skipped: tuple[SkippedItem, ...]) -> list[tuple[str, list[SkippedItem]]]:
    """Group what was left alone by stage and reason code, the largest group first."""
    groups: defaultdict[str, list[SkippedItem]] = defaultdict(list)
    for item in skipped:
        groups[f"{item.stage} · {item.code}"].append(item)
    return sorted(groups.items(), key=lambda group: -len(group[1]))


def _plots(report: RunReport) -> list[dict[str, Any]]:
    """Every plot there is something to draw for, with its title."""
    found: list[dict[str, Any]] = []

    def add(name: str, title: str, make: Callable[[], Figure]) -> None:
        found.append({"title": title, "svg": _markup(inline_svg(make(), name, title))})

    with plot_settings():
        if can_draw_pareto(report):
            add("pareto", "What accuracy costs", lambda: pareto_figure(report, PAGE))
        if len(report.models) > 1:
            add("waterfall", "What is left after each stage", lambda: waterfall_figure(report.models, PAGE))
        if can_draw_layers(report.layers):
            add("layers", "Layer by layer", lambda: layers_figure(report.layers, PAGE))
        for index, (label, curves) in enumerate(_by_label(report.curves).items()):
            title = f"Training: {clean(label, 40)}"
            add(f"curves{index}", title, lambda curves=curves: curves_figure(curves, PAGE))  # type: ignore[misc]
    return found


def _by_label(curves: tuple[Curve, ...]) -> dict[str, list[Curve]]:
    groups: defaultdict[str, list[Curve]] = defaultdict(list)
    for curve in curves:
        if curve.steps:
            groups[curve.label].append(curve)
    return groups


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf8")
