"""What healing did, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .console import Console
from .text import table

if TYPE_CHECKING:
    from ..pipeline import HealedModel


def show_heal(console: Console, result: HealedModel) -> None:
    """Each epoch, and the figures before and after."""
    report = result.report
    names = list(report.history[0].losses) if report.history else []
    rows = [
        (
            row.epoch,
            *(f"{row.losses[name]:.4f}" for name in names),
            f"{row.validation_score:.4f}",
            f"{row.seconds:.1f}",
        )
        for row in report.history
    ]
    console.show(
        table(("epoch", *(f"loss: {name}" for name in names), f"held out: {report.metric}", "s"), rows)
    )
    console.say(
        f"{report.metric} on {report.evaluation_samples} samples: {report.before_score:.4f} before, "
        f"{report.evaluation_score:.4f} healed, {report.teacher_score:.4f} the teacher (epoch {report.best_epoch} is kept)"
    )
    if result.proof_error is not None:
        console.say(f"torch and ONNX Runtime differ by {result.proof_error:.1e} on it")
