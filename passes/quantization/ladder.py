"""Trying methods and accuracy tools one after another, and keeping what helps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .fidelity import decibels
from .options import TOOLS, Method, Tool
from .quantizer import QuantizeOutcome, Quantizer
from .report import ToolGain


def climb(
    quantizer: Quantizer, wanted: Sequence[Tool], *, methods: Sequence[Method] = (), **changes: Any
) -> QuantizeOutcome:
    """Quantize by each method, then with each tool in turn on top of the best; what does not lower the error is left out.

    The error is the noise at the model's outputs on the calibration samples, so that nothing is chosen on samples
    that accuracy is reported on.

    Args:
        quantizer: Quantizes the model.
        wanted: The tools to try, in any order; they are tried in that of :data:`~.options.TOOLS`.
        methods: The methods to try; the quantizer's own where left out.
        changes: Other options that differ from the quantizer's.

    Returns:
        The best outcome; its report says what each method gave and what each tool gained.
    """
    tried = [
        quantizer.quantize(**changes, tools=(), method=m) for m in methods or (quantizer.options.method,)
    ]
    best = min(tried, key=_noise)
    found = {outcome.report.method: decibels(_noise(outcome)) for outcome in tried} if methods else {}
    changes["method"] = best.report.method
    kept: tuple[Tool, ...] = ()
    gains = []
    for tool in (t for t in TOOLS if t in wanted):
        other = quantizer.quantize(**changes, tools=(*kept, tool))
        better = _noise(other) < _noise(best)
        gains.append(ToolGain(tool, decibels(_noise(best)), decibels(_noise(other)), better))
        if better:
            best, kept = other, (*kept, tool)
    best.report.tools, best.report.methods = gains, found
    return best


def _noise(outcome: QuantizeOutcome) -> float:
    return outcome.report.output_ratio or 0.0
