"""The rows of the page's long tables: how many are shown, in which order, and the kinds they can be filtered by."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .formats import NOTHING
from .model import ChangedSample, Layer, Point, RunReport, SkippedItem
from .pictures import is_picture

ROWS = 400
"""Rows of a long table, or of one kind of reason, that are shown; JSON has all of them."""

_SLOWEST = 20
_PICTURES = 60

Tone = Literal["good", "bad", "neutral"]


@dataclass(frozen=True)
class Kinds:
    """The kinds of a table's rows, the most frequent first.

    Attributes:
        tally: Each kind with the number of its rows.
        places: The place of each kind among them, by which a row names its kind.
    """

    tally: tuple[tuple[str, int], ...]
    places: Mapping[str, int]


def kinds_of(names: Iterable[str]) -> Kinds:
    """Count the kinds of rows.

    Args:
        names: The kind of each row.
    """
    tally = tuple(Counter(names).most_common())
    return Kinds(tally, {name: place for place, (name, _) in enumerate(tally)})


def points_part(report: RunReport) -> dict[str, Any]:
    """The candidates of a search with what became of each: the result and the front first, then the fastest."""
    found = [(point, _fate(report, point)) for point in report.points]
    found.sort(key=lambda row: (not row[0].taken, not row[0].on_front, -row[0].speed_ratio.value))
    return {"points": found[:ROWS], "point_kinds": kinds_of(fate for _, fate in found[:ROWS])}


def _fate(report: RunReport, point: Point) -> str:
    if point.taken:
        return "taken"
    worst, sign = report.budget, 1.0 if report.higher_is_better else -1.0
    if worst is not None and sign * point.accuracy.value < sign * worst:
        return "over the budget"
    return "on the front" if point.on_front else "beaten by another"


_OPTIONAL = ("bits", "sqnr_db", "time_before_us", "time_after_us")


def layers_part(report: RunReport) -> dict[str, Any]:
    """The layers in the network's order, and which of their columns hold anything."""
    shown = report.layers[:ROWS]
    has = {name: any(getattr(layer, name) is not None for layer in shown) for name in _OPTIONAL}
    return {"layers": shown, "has": has, "layer_kinds": kinds_of(layer.op_type for layer in shown)}


def widths(layer: Layer) -> str:
    """A layer's channels before and after, or once where they are the same."""
    known = [width for width in (layer.width_before, layer.width_after) if width is not None]
    return " → ".join(str(width) for width in dict.fromkeys(known)) or NOTHING


def nodes_part(report: RunReport) -> dict[str, Any]:
    """The slowest nodes."""
    shown = sorted(report.nodes, key=lambda node: -node.slowest_us)[:_SLOWEST]
    return {"nodes": shown, "node_kinds": kinds_of(node.op_type for node in shown)}


def reasons_part(report: RunReport) -> dict[str, Any]:
    """What was left alone, with its stage and reason as its kind; the largest kind first, and of each the first rows."""
    groups: defaultdict[str, list[SkippedItem]] = defaultdict(list)
    for item in report.skipped:
        groups[f"{item.stage} · {item.code}"].append(item)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    rows = [(item, kind) for kind, items in ordered for item in items[:ROWS]]
    return {"skipped": rows, "reason_kinds": kinds_of(kind for _, kind in rows)}


def changed_part(report: RunReport) -> list[tuple[ChangedSample, Tone, str]]:
    """The first samples whose answer changed, with what the change is and their picture, empty where it is none."""
    return [
        (sample, _tone(sample), sample.picture_png_base64 if is_picture(sample.picture_png_base64) else "")
        for sample in report.changed[:_PICTURES]
    ]


def _tone(sample: ChangedSample) -> Tone:
    if not sample.label or sample.label not in {sample.before, sample.after}:
        return "neutral"
    return "good" if sample.label == sample.after else "bad"
