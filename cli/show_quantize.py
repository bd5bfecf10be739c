"""What quantization did, for people: types, gains of tools, culprits, and what stays in float."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .console import Console
from .show import show_metrics, show_skipped
from .text import table

if TYPE_CHECKING:
    from ..passes.quantization import NodeEffect
    from ..pipeline import Quantized
    from ..pipeline.drop_budget import DropBudget
    from ..pipeline.speed_choice import SpeedChoice

_CULPRITS = 8
_TAKEN = {"float": "the float model, as nothing is faster here", "nothing": "everything on integers"}


def show_quantize(console: Console, result: Quantized) -> None:
    """Which types were chosen and why, what helped and what hurt, and what stays in float."""
    for reason in result.reasons:
        console.say(reason)
    if (types := getattr(result.report, "types", None)) is not None:
        for thing in types.forbids:
            console.detail(f"{types.target} does not take {thing}")
    show_metrics(console, result.report.before, result.report.after)
    for method, ratio_db in getattr(result.report, "methods", {}).items():
        taken = ", taken" if method == getattr(result.report, "method", "") else ""
        console.say(f"{method}: outputs {ratio_db:.1f} dB above the noise{taken}")
    for gain in getattr(result.report, "tools", ()):
        console.say(
            f"{gain.tool}: outputs from {gain.before_db:.1f} to {gain.after_db:.1f} dB above the noise, "
            f"{'kept' if gain.kept else 'left out'}"
        )
    for skip in getattr(result.report, "tool_skipped", ()):
        console.detail(f"{skip.node}: {skip.text}")
    if result.budget is not None:
        _show_budget(console, result.budget)
    _show_effects(console, result.effects)
    if result.speed is not None:
        _show_speed(console, result.speed)
    if result.integer_nodes is not None:
        console.say(
            f"{result.integer_nodes} of {result.placed_nodes} nodes of the optimised graph run on integers"
        )
    show_skipped(console, result.report.skipped, "stays in float")


def _show_budget(console: Console, budget: DropBudget) -> None:
    console.say(
        f"{budget.metric}: {budget.before.value:.4f} in float, {budget.after.value:.4f} quantized; "
        f"lost {budget.lost:.4f} of at most {budget.max_drop:g}"
    )
    for name in budget.restored:
        console.say(f"put back to float: {name}")
    for name in budget.widened:
        console.say(f"16-bit activations: {name}")
    if len(budget.tries) > 1:
        rows = [(t.to_float, t.to_wide, f"{t.value:.4f}", f"{t.lost:.4f}") for t in budget.tries]
        console.show(table(("in float", "in 16 bits", budget.metric, "lost"), rows))


def _show_effects(console: Console, effects: tuple[NodeEffect, ...]) -> None:
    """The nodes by what each alone does to the outputs; all of them with ``-v``."""
    if not effects:
        return
    shown = effects if console.verbose else effects[:_CULPRITS]
    rows = [(effect.node, effect.op, f"{effect.sqnr_db:.1f}") for effect in shown]
    console.show(table(("alone in integers", "operator", "outputs, dB above its noise"), rows))
    if len(effects) > len(shown):
        console.say(f"{len(effects) - len(shown)} more do less harm; -v shows each")


def _show_speed(console: Console, speed: SpeedChoice) -> None:
    for choice in speed.choices:
        console.say(
            f"{choice.name} left in float ({choice.float_nodes} nodes): {choice.speed_ratio:.2f}x "
            f"({choice.low_ratio:.2f} to {choice.high_ratio:.2f}) at batch {speed.batch}, {choice.verdict}"
        )
    console.say(f"taken: {_TAKEN.get(speed.taken, speed.taken + ' left in float')}")
