"""Accuracy against parameters and against speed, as an SVG file."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from measured import BATCHES
from measuring import Row
from sardonyx.pipeline.report.palette import PRINT
from sardonyx.pipeline.report.svg import plot_settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = {"sardonyx": PRINT.accent, "torch-pruning": PRINT.good, "onnxsim": PRINT.second}
_MARKERS = "os^Dvx"
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def draw(models: Mapping[str, Sequence[Row]]) -> bytes:
    """One row of panels for each model: parameters, and speed at each batch size.

    Args:
        models: The rows of each model, the model as it was first.

    Returns:
        An SVG file, the same bytes for the same rows.
    """
    import matplotlib
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with plot_settings(), matplotlib.rc_context({"svg.hashsalt": "pruning"}):
        figure = Figure(figsize=(11, 1.5 + 3.2 * len(models)), layout="constrained")
        panels = figure.subplots(len(models), 1 + len(BATCHES), squeeze=False, sharey="row")
        for line, (name, rows) in zip(panels, models.items(), strict=True):
            _panel(line[0], rows, "parameters left", lambda row: row.params_ratio)
            line[0].set_ylabel(f"{name}: top-1 (%)", color=PRINT.muted)
            for index, batch in enumerate(BATCHES, start=1):
                _panel(line[index], rows, f"times as fast, batch {batch}", _speed_at(batch))
                line[index].axvline(1, color=PRINT.soft, linewidth=1.0, zorder=1)
        handles, names = panels[0][0].get_legend_handles_labels()
        figure.legend(
            handles,
            names,
            loc="outside lower center",
            ncols=3,
            frameon=False,
            labelcolor=PRINT.ink,
            fontsize=9,
        )
        figure.savefig(buffer, format="svg", facecolor="white", metadata=_NO_METADATA)
    return buffer.getvalue()


def _speed_at(batch: int) -> Callable[[Row], float | None]:
    return lambda row: next((r.speed_ratio for r in row.latency if r.batch == batch), None)


def _panel(axes: Axes, rows: Sequence[Row], label: str, position: Callable[[Row], float | None]) -> None:
    """One line for each setting through its points; colour tells the tool, the marker the setting."""
    settings: dict[str, list[str]] = {}
    for row in rows:
        known = settings.setdefault(row.case.tool, [])
        if row.case.setting not in known:
            known.append(row.case.setting)
    for tool, known in settings.items():
        for index, setting in enumerate(known):
            own = [row for row in rows if (row.case.tool, row.case.setting) == (tool, setting)]
            places = [(position(row), row.top1) for row in own]
            points = [(x, 100 * top1.value) for x, top1 in places if x is not None and top1 is not None]
            axes.plot(
                [x for x, _ in points],
                [y for _, y in points],
                f"{_MARKERS[index % len(_MARKERS)]}{'-' if index == 0 else ':'}",
                color=_COLORS.get(tool, PRINT.muted),
                linewidth=1.6 if index == 0 else 1.0,
                markersize=5,
                label=f"{tool} {setting}".strip(),
            )
    axes.set_xlabel(label, color=PRINT.muted)
    axes.tick_params(colors=PRINT.muted, length=0, labelsize=9)
    axes.grid(color=PRINT.line, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_color(PRINT.line)
