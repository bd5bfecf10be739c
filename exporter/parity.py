"""Comparing outputs: how far apart, and what tolerance would have been needed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..core.tensors import Array
from .report import ParityRow

TOLERANCES: dict[str, tuple[float, float]] = {
    "float64": (1e-7, 1e-8),
    "float32": (1e-4, 1e-5),
    "float16": (5e-3, 2e-3),
}
"""For each type: relative tolerance, and absolute tolerance as a share of the output's largest magnitude.

About a thousand and a hundred times the spacing of float32 (and of float64 evaluated with float32 constants);
two to five times that of float16. Other types must be equal.
"""


def tolerance_for(dtype: np.dtype[np.generic], magnitude: float) -> tuple[float, float]:
    """The relative and absolute tolerance of an output.

    Args:
        dtype: Its type.
        magnitude: Its largest absolute finite element.
    """
    rtol, share = TOLERANCES.get(dtype.name, (0.0, 0.0))
    return rtol, share * magnitude


def magnitude_of(array: Array) -> float:
    """The largest absolute finite element; 0 where there is none."""
    values = np.abs(array[np.isfinite(array)].astype(np.float64))
    return float(values.max()) if values.size else 0.0


def compare_output(
    case: str,
    output: str,
    wanted: Array,
    got: Array,
    *,
    floor: float = 0.0,
    rtol: float | None = None,
    atol: float | None = None,
) -> ParityRow:
    """Compare one output on one case.

    Args:
        case: Name of the case.
        output: Name of the output.
        wanted: What the module gives.
        got: What the export gives.
        floor: Magnitude that counts at the least (that of ordinary inputs, where this case gives zeros).
        rtol: Relative tolerance; None takes that of the type.
        atol: Absolute tolerance; None takes that of the type.

    Returns:
        The row, passed or not; it never raises.
    """
    magnitude = magnitude_of(wanted)
    relative, absolute = tolerance_for(wanted.dtype, max(magnitude, floor))
    rtol, atol = relative if rtol is None else rtol, absolute if atol is None else atol
    problem = _problem(wanted, got)
    if problem:
        return ParityRow(case, output, False, 0.0, magnitude, rtol, atol, None, problem)
    finite = np.isfinite(wanted)
    reference = np.abs(wanted[finite].astype(np.float64))
    difference = np.abs(got[finite].astype(np.float64) - wanted[finite].astype(np.float64))
    factor = _required_factor(difference, atol + rtol * reference)
    is_passed = factor is not None and factor <= 1.0
    return ParityRow(case, output, is_passed, _largest(difference), magnitude, rtol, atol, factor)


def constant_outputs(outputs: Mapping[str, Mapping[str, Array]]) -> list[str]:
    """Outputs that are the same whatever goes in: of these a comparison shows little.

    Args:
        outputs: For each case of one size, its outputs by name.
    """
    cases = list(outputs.values())
    same = [
        name
        for name in cases[0]
        if all(np.array_equal(c[name], cases[0][name], equal_nan=True) for c in cases)
    ]
    return [name for name in same if cases[0][name].dtype.kind == "f"]


def _problem(wanted: Array, got: Array) -> str:
    """What no tolerance can mend."""
    if wanted.shape != got.shape:
        return f"shape {got.shape}, the module gives {wanted.shape}"
    if wanted.dtype != got.dtype:
        return f"type {got.dtype}, the module gives {wanted.dtype}"
    if wanted.dtype.kind != "f":
        return ""
    for name, test in (("NaN", np.isnan), ("+inf", np.isposinf), ("-inf", np.isneginf)):
        places = int((test(wanted) != test(got)).sum())
        if places:
            return f"{name} in only one of the two at {places} of {wanted.size} places"
    return ""


def _largest(values: Array) -> float:
    return max(0.0, float(values.max())) if values.size else 0.0


def _required_factor(difference: Array, allowed: Array) -> float | None:
    """How often the allowed difference fits into the largest one; None where nothing at all is allowed."""
    over = difference > 0
    if (allowed[over] == 0).any():
        return None
    return _largest(difference[over] / allowed[over])
