"""Moving a model to an opset in which Q/DQ can be written and computed, proven by running both."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import Runner
from ...core.errors import ModelError
from ...core.tensors import input_specs, output_specs

PER_CHANNEL_OPSET = 13
"""The first opset whose DequantizeLinear has an ``axis``."""

WIDE_OPSET = 21
"""The first opset whose QuantizeLinear knows types of 16 and of 4 bits."""

NEWEST_OPSET = 27
"""The newest opset whose QuantizeLinear ONNX Runtime computes; it takes float models of the next one all the same."""

_TOLERANCE = 1e-4
_SAMPLES = 4


def raise_opset(model: ir.Model, needed: int, data: CalibrationData, runner: Runner) -> ir.Model:
    """Convert a model to an opset, or return it where it has that or a newer one.

    Args:
        model: Left as it is.
        needed: The opset wanted at least.
        data: Samples on which both models must agree.
        runner: Executes both.

    Raises:
        ModelError: onnx cannot convert the model, or the result differs.
    """
    version = model.opset_imports.get("", 0)
    remedy = f"export the model with opset {needed} or newer"
    return model if version >= needed else _converted(model, needed, data, runner, remedy)


def lower_opset(model: ir.Model, data: CalibrationData, runner: Runner) -> ir.Model:
    """Convert a model to the newest opset that Q/DQ is computed in, or return it where its own is not newer.

    Args:
        model: Left as it is.
        data: Samples on which both models must agree.
        runner: Executes both.

    Raises:
        ModelError: onnx cannot convert the model, or the result differs.
    """
    version = model.opset_imports.get("", 0)
    remedy = f"export the model with opset {NEWEST_OPSET} or older"
    return model if version <= NEWEST_OPSET else _converted(model, NEWEST_OPSET, data, runner, remedy)


def _converted(model: ir.Model, wanted: int, data: CalibrationData, runner: Runner, remedy: str) -> ir.Model:
    change = f"converting opset {model.opset_imports.get('', 0)} to {wanted}"
    try:
        converted = ir.from_proto(onnx.version_converter.convert_version(ir.to_proto(model), wanted))
    except Exception as error:  # the converter throws what its adapters throw
        raise ModelError(f"{change} is not possible: {error}", remedy=remedy) from error
    before, after = (
        [(s.name, s.dtype) for s in (*input_specs(m), *output_specs(m))] for m in (model, converted)
    )
    if before != after:
        raise ModelError(f"{change} changed inputs or outputs", remedy=remedy)
    changed = _first_changed(model, converted, data, runner)
    if changed is not None:
        raise ModelError(f"{change} changed {changed!r}", remedy=remedy)
    return converted


def _first_changed(model: ir.Model, converted: ir.Model, data: CalibrationData, runner: Runner) -> str | None:
    """The name of an output that differs on samples."""
    names = [s.name for s in output_specs(model)]
    feeds = list(data.subset(_SAMPLES).batches(data.batch_size_for(_SAMPLES)))
    runs = (runner.run(m, feeds, names, optimize=False) for m in (model, converted))
    for left, right in zip(*runs, strict=True):
        for name in names:
            finite = np.isfinite(left[name])
            scale = float(np.abs(left[name]).max(initial=0.0, where=finite)) or 1.0
            close = np.isclose(left[name], right[name], rtol=0.0, atol=_TOLERANCE * scale, equal_nan=True)
            if not close.all():
                return name
    return None
