"""Placement for people: what each provider ran, and why nodes ran elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .console import Console
from .text import table

if TYPE_CHECKING:
    from ..pipeline import ModelPlacement

_SHOWN, _NAMED = 12, 4


def show_placements(console: Console, placements: Sequence[ModelPlacement]) -> None:
    """One table for each model and provider; with ``-v`` every node that ran elsewhere."""
    for placed in placements:
        console.say()
        _show(console, placed)


def _show(console: Console, placed: ModelPlacement) -> None:
    found = placed.found
    console.say(f"placement of {placed.model}, asked for {found.placement.requested}")
    rows = [
        (s.provider, s.nodes, f"{s.node_ratio:.0%}", s.kernels, f"{s.time_ratio:.0%}")
        for s in found.placement.shares
    ]
    console.show(table(("provider", "nodes", "share", "kernels", "share of the time"), rows))
    shown = found.fallbacks if console.verbose else found.fallbacks[:_SHOWN]
    if shown:
        elsewhere = [(f.node, f.op_type, f.provider, f"{f.median_ms:.3f}") for f in shown]
        console.show(table(("node", "operator", "ran on", "ms"), elsewhere))
    if len(found.fallbacks) > len(shown):
        console.say(f"{len(found.fallbacks) - len(shown)} more nodes ran elsewhere; -v shows each")
    reasons: dict[str, list[str]] = {}
    for fallback in found.fallbacks:
        reasons.setdefault(fallback.reason, []).append(fallback.node)
    for reason, nodes in reasons.items():
        more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
        console.say(f"why: {reason}: {', '.join(nodes[:_NAMED])}{more}")
