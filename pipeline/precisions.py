"""Precisions other than int8 from samples: dynamic int8, float16, and float16 with some nodes in float32."""

from __future__ import annotations

import onnx_ir as ir

from ..calib_data import CalibrationData
from ..core.errors import UsageError
from ..core.targets import Target
from ..passes.precision import Float16Outcome, MixedOptions, MixedOutcome, to_float16, to_mixed_float16
from ..passes.quantization import DynamicOptions, DynamicOutcome, quantize_dynamic, refuse_quantized

PRECISIONS = ("int8", "dynamic", "float16", "mixed")
"""What a model may be made of."""


def make_precision(
    precision: str,
    model: ir.Model,
    data: CalibrationData | None,
    target: Target,
    *,
    exclude: tuple[str, ...] = (),
    force: bool = False,
) -> DynamicOutcome | Float16Outcome | MixedOutcome:
    """Make a model in another precision.

    Args:
        precision: One of :data:`PRECISIONS` but ``int8``.
        model: Left as it is.
        data: Samples; ``mixed`` needs them, ``dynamic`` measures its error on them.
        target: What the model is made for.
        exclude: Globs over node names that stay float32.
        force: Whether a model that is quantized already is taken.

    Raises:
        UsageError: The precision is not known, or ``mixed`` has no samples.
        InputError: The model is quantized already, or nothing in it can be changed.
        ExpectationError: The error of ``mixed`` cannot be held.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}", remedy=f"choose one of {', '.join(PRECISIONS)}")
    refuse_quantized(model, force=force)
    if precision == "dynamic":
        options = DynamicOptions(exclude=exclude, force=force)
        return quantize_dynamic(model, options, target=target, data=data)
    if precision == "float16":
        return to_float16(model, exclude=exclude)
    if data is None:
        raise UsageError("mixed precision is chosen by measured error", remedy="add --calib DATA")
    return to_mixed_float16(model, data, MixedOptions(exclude=exclude))
