"""One self-contained HTML page: one script of ours, nothing loaded from anywhere, names escaped and cut."""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Callable
from functools import cache, partial
from importlib import resources
from typing import TYPE_CHECKING, Any

from ...core.safe_text import LONGEST, clean
from .canvas import HIGH
from .formats import (
    NOTHING,
    change,
    count,
    digits,
    duration,
    interval,
    microseconds,
    milliseconds,
    score,
    size,
    times,
)
from .headline import headline
from .model import Curve, RunReport
from .palette import PAGE
from .pareto import can_draw_pareto, pareto_figure
from .plots import (
    can_draw_curve,
    curves_figure,
    layer_panels,
    layers_figure,
    waterfall_figure,
    waterfall_height,
)
from .svg import inline_svg, plot_settings
from .tables import ROWS, changed_part, layers_part, nodes_part, points_part, reasons_part, widths

if TYPE_CHECKING:
    from jinja2 import Template
    from matplotlib.figure import Figure

_TALLEST = 5.0
"""Inches that accuracy against speed may be high, so that it is as high as the plot beside it."""

_LONG_TEXT = 600
"""Characters of a sentence that are shown."""


def render_html(report: RunReport) -> str:
    """Render a report as one HTML page.

    Every string is escaped where it stands, cut, and freed of control characters. The page's own content security
    policy lets one script and one style sheet pass, by their hashes, and nothing be loaded or sent.

    Args:
        report: The report.

    Returns:
        The page; the same bytes for the same report.
    """
    return str(_template().render(report=report, **_frame(), **_view(report)))


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_finalize, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(
        count=count,
        size=size,
        ms=milliseconds,
        us=microseconds,
        duration=duration,
        interval=interval,
        digits=digits,
        times=times,
        widths=widths,
    )
    environment.filters["name"] = lambda text: clean(text, LONGEST)
    return environment.from_string(_text("report.html.j2"))


def _frame() -> dict[str, Any]:
    """The style sheet, the script, and the policy that lets both pass and nothing else."""
    style, script = _text("report.css"), _text("report.js")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return {"style": _markup(style), "script": _markup(script), "policy": policy}


def _view(report: RunReport) -> dict[str, Any]:
    """What the template shows besides the report itself."""
    batches = sorted({row.batch for stage in report.stages for row in stage.latency})
    return {
        "figures": headline(report),
        "batches": batches,
        "latency": {s.name: {row.batch: row for row in s.latency} for s in report.stages},
        "has_drop": any(s.drop is not None for s in report.stages),
        "score": lambda value: score(value, is_share=report.is_share),
        "change": lambda value: change(value, is_share=report.is_share),
        "noted": [s for s in report.stages if s.notes or s.warnings],
        "nothing": NOTHING,
        "total_seconds": sum(s.seconds for s in report.stages if s.seconds is not None) or None,
        **_plots(report),
        **points_part(report),
        **layers_part(report),
        **nodes_part(report),
        **reasons_part(report),
        "changed": [(sample, tone, _markup(picture)) for sample, tone, picture in changed_part(report)],
    }


def _finalize(value: Any) -> Any:
    """Clean every string that the template prints, unless it is markup made here."""
    from markupsafe import Markup

    if isinstance(value, str) and not isinstance(value, Markup):
        return clean(value, _LONG_TEXT)
    return value


def _markup(text: str) -> Any:
    """Text that is not escaped: our own style sheet and script, plots whose texts matplotlib has escaped, base64."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - never given text from a model


def _hash(text: str) -> str:
    """How a content security policy names an inline element: by what stands in it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf8')).digest()).decode('ascii')}"


def _plots(report: RunReport) -> dict[str, list[dict[str, Any]]]:
    """Every plot there is something to draw for, with its title, by the part of the page that it stands in."""
    found: dict[str, list[dict[str, Any]]] = {"plots": [], "layer_plots": [], "curve_plots": []}

    def add(part: str, title: str, make: Callable[[], Figure]) -> None:
        svg = _markup(inline_svg(make(), f"{part.removesuffix('s')}{len(found[part])}", f"Plot: {title}"))
        found[part].append({"title": title, "svg": svg})

    with plot_settings():
        has_waterfall = len(report.models) > 1
        if can_draw_pareto(report):
            high = min(waterfall_height(report.models), _TALLEST) if has_waterfall else HIGH
            add("plots", "What accuracy costs", lambda: pareto_figure(report, PAGE, height=max(high, HIGH)))
        if has_waterfall:
            add("plots", "What each stage leaves", lambda: waterfall_figure(report.models, PAGE))
        for title, label, values in layer_panels(report.layers[:ROWS]):
            add("layer_plots", title, partial(layers_figure, label, values, PAGE))
        for label, curves in _by_label(report.curves).items():
            add("curve_plots", clean(label, 40), partial(curves_figure, curves, PAGE))
    return found


def _by_label(curves: tuple[Curve, ...]) -> dict[str, list[Curve]]:
    groups: defaultdict[str, list[Curve]] = defaultdict(list)
    for curve in curves:
        if can_draw_curve(curve):
            groups[curve.label].append(curve)
    return groups


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf8")
