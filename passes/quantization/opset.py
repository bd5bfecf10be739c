"""Raising the opset of a model to what Q/DQ needs, proven by running both."""

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
    if version >= needed:
        return model
    try:
        converted = ir.from_proto(onnx.version_converter.convert_version(ir.to_proto(model), needed))
    except Exception as error:  # the converter throws what its adapters throw
        raise ModelError(
            f"opset {version} cannot be converted to {needed}: {error}",
            remedy=f"export the model with opset {needed} or newer",
        ) from error
    _require_same(model, converted, needed, data, runner)
    return converted


def _require_same(
    model: ir.Model, converted: ir.Model, needed: int, data: CalibrationData, runner: Runner
) -> None:
    version = model.opset_imports.get("", 0)
    remedy = f"export the model with opset {needed} or newer"
    before, after = (
        [(s.name, s.dtype) for s in (*input_specs(m), *output_specs(m))] for m in (model, converted)
    )
    if before != after:
        raise ModelError(f"converting opset {version} to {needed} changed inputs or outputs", remedy=remedy)
    names = [s.name for s in output_specs(model)]
    feeds = list(data.subset(_SAMPLES).batches(data.batch_size_for(_SAMPLES)))
    runs = (runner.run(m, feeds, names, optimize=False) for m in (model, converted))
    for left, right in zip(*runs, strict=True):
        for name in names:
            scale = float(np.abs(left[name]).max(initial=0.0)) or 1.0
            if not np.allclose(left[name], right[name], rtol=0.0, atol=_TOLERANCE * scale):
                raise ModelError(f"converting opset {version} to {needed} changed {name!r}", remedy=remedy)
