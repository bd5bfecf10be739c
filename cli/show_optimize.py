"""What a search found, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .console import Console
from .text import size, table

if TYPE_CHECKING:
    from ..pipeline import Optimized


def show_optimize(console: Console, result: Optimized) -> None:
    """The candidates that were measured in turns, which was taken, and why."""
    comparison = result.decision.comparison
    assert comparison is not None
    losses = {candidate.name: candidate.lost for candidate in result.tried}
    rows = [
        (
            row.model,
            f"{row.latency[0].speed_ratio:.2f}x",
            f"{row.latency[0].speed_low_ratio:.2f}..{row.latency[0].speed_high_ratio:.2f}",
            f"{row.accuracy.value:.4f}",
            f"{losses.get(row.model, 0.0):+.4f}",
            size(row.size_bytes),
            "taken" if row.model == result.taken.name else "",
        )
        for row in comparison.rows
    ]
    console.show(table(("model", "speed", "95 %", comparison.metric, "lost", "bytes", ""), rows))
    console.say(result.decision.reason)
    if not result.is_complete:
        console.say("the time was up before all was tried: --time with more, and --resume, go on")
    console.say(
        f"{len(result.tried)} candidates tried; on the front: {', '.join(c.name for c in result.front)}"
    )
    console.say(f"wrote {result.folder / 'model.onnx'}; report: {result.folder / 'report.html'}")
