"""Trying accuracy tools one after another, and keeping those that help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .fidelity import decibels
from .options import TOOLS, Tool
from .quantizer import QuantizeOutcome, Quantizer
from .report import ToolGain


def climb(quantizer: Quantizer, wanted: Sequence[Tool], **changes: Any) -> QuantizeOutcome:
    """Quantize with each tool in turn on top of those kept before; a tool that does not lower the error is left out.

    The error is the noise at the model's outputs on the calibration samples, so that nothing is chosen on samples
    that accuracy is reported on.

    Args:
        quantizer: Quantizes the model.
        wanted: The tools to try, in any order; they are tried in that of :data:`~.options.TOOLS`.
        changes: Other options that differ from the quantizer's.

    Returns:
        The best outcome; its report says what each tool gained.
    """
    best = quantizer.quantize(**changes, tools=())
    kept: tuple[Tool, ...] = ()
    gains = []
    for tool in (t for t in TOOLS if t in wanted):
        tried = quantizer.quantize(**changes, tools=(*kept, tool))
        before, after = best.report.output_ratio or 0.0, tried.report.output_ratio or 0.0
        better = after < before
        gains.append(ToolGain(tool, decibels(before), decibels(after), better))
        if better:
            best, kept = tried, (*kept, tool)
    best.report.tools = gains
    return best
