"""Profiles for people: operators, the slowest nodes, and where integers did not help."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .console import Console
from .text import count, table

if TYPE_CHECKING:
    from ..runtime import ModelProfile, NodeChange, ProfileChange, ProfileReport

_NAMED = 8


def show_profile(console: Console, report: ProfileReport, top: int) -> None:
    """Each model, and what the second gains.

    Args:
        console: Where to print.
        report: The profiles.
        top: How many nodes to show in each table, the slowest first.
    """
    options = report.options
    threads = options.threads or "all"
    console.say(f"batch {options.batch}, threads {threads}, medians of {options.rounds} runs in turns")
    for model in report.models:
        console.say()
        _show_model(console, model, top)
    if report.change is not None:
        console.say()
        _show_change(console, report, report.change, top)


def _show_model(console: Console, model: ModelProfile, top: int) -> None:
    console.say(
        f"{model.model} on {model.provider}: {model.run_ms:.3f} ms a run under the profiler, "
        f"{model.kernels_ms:.3f} ms of it in kernels"
    )
    rows = [(o.op_type, o.kernels, f"{o.median_ms:.3f}", f"{o.time_ratio:.1%}") for o in model.operators]
    console.show(table(("operator", "kernels", "ms", "share"), rows))
    console.say()
    headings = ("node", "kernels", "ms", "share", "MACs", "GMAC/s", "of the best")
    nodes = [
        (
            n.node,
            " ".join(n.kernels),
            f"{n.median_ms:.3f}",
            f"{n.time_ratio:.1%}",
            "" if n.macs is None else count(n.macs),
            "" if n.gmacs_per_s is None else f"{n.gmacs_per_s:.1f}",
            "" if n.rate_ratio is None else f"{n.rate_ratio:.0%}",
        )
        for n in model.nodes[:top]
    ]
    console.show(table(headings, nodes) if nodes else "no kernel carries the name of a node")
    if len(model.nodes) > top:
        rest_ms = sum(n.median_ms for n in model.nodes[top:])
        console.say(f"{len(model.nodes) - top} more nodes, {rest_ms:.3f} ms; --top shows more")
    if model.unmatched:
        console.say(f"kernels that stand for no node of the model: {_times(model.unmatched)}")
    for note in model.notes:
        console.say(f"note: {note}")


def _show_change(console: Console, report: ProfileReport, change: ProfileChange, top: int) -> None:
    before, after = report.models
    console.say(f"{after.model} against {before.model}, nodes of the same name")
    if change.nodes:
        headings = ("node", "ms before", "ms after", "speed", "95 %", "", "integers")
        console.show(table(headings, [_row(node) for node in change.nodes[:top]]))
    else:
        console.say("no node of one carries the name of a node of the other")
    if len(change.nodes) > top:
        console.say(f"{len(change.nodes) - top} more nodes; --top shows more")
    became = sum(node.became_integer for node in change.nodes)
    if became:
        console.say(f"{became} nodes became integer; {len(change.not_helped)} of them are not faster for it")
    for node in change.not_helped:
        console.say(
            f"integers did not help: {node.node}: {node.before_ms:.3f} -> {node.after_ms:.3f} ms, {node.verdict}"
        )
    console.say(
        f"conversions between float and integers take {after.conversion_ms:.3f} ms, {after.conversion_ratio:.1%} of "
        f"{after.model}'s kernels ({before.conversion_ms:.3f} ms in {before.model})"
    )
    for nodes, one, other in (
        (change.only_before, before.model, after.model),
        (change.only_after, after.model, before.model),
    ):
        if nodes:
            console.say(f"runs in {one} only (not in {other}, or fused into a node there): {_times(nodes)}")


def _row(node: NodeChange) -> tuple[object, ...]:
    return (
        node.node,
        f"{node.before_ms:.3f}",
        f"{node.after_ms:.3f}",
        f"{node.speed_ratio:.2f}x",
        f"{node.speed_low_ratio:.2f}..{node.speed_high_ratio:.2f}",
        node.verdict,
        "yes" if node.became_integer else "",
    )


def _times(found: Mapping[str, float]) -> str:
    """Names with their times, the slowest first; the rest as one sum."""
    items = list(found.items())
    named = ", ".join(f"{name} {ms:.3f} ms" for name, ms in items[:_NAMED])
    rest = items[_NAMED:]
    return f"{named} and {len(rest)} more, {sum(ms for _, ms in rest):.3f} ms" if rest else named
