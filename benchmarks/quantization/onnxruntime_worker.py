"""Quantize with ``onnxruntime.quantization``.

The setting: ``prepare`` (whether its own preparation goes before, as its documentation advises), ``activations`` and
``method`` by its own names, and ``per_channel`` and ``reduce_range`` as it takes them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from calls import Call, Reader, answer
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


class Samples(Reader, CalibrationDataReader):
    """The samples, as a reader of the type that is asked for."""


def quantize(call: Call) -> None:
    """From the path of the model to the path of the result."""
    setting = call.setting
    with tempfile.TemporaryDirectory() as scratch:
        model = call.onnx
        if setting["prepare"]:
            model = Path(scratch, "prepared.onnx")
            quant_pre_process(call.onnx, model)
        quantize_static(
            model,
            call.output,
            Samples(call.feeds()),
            activation_type=QuantType[setting["activations"]],
            weight_type=QuantType.QInt8,
            per_channel=setting["per_channel"],
            reduce_range=setting["reduce_range"],
            calibrate_method=CalibrationMethod[setting["method"]],
        )


if __name__ == "__main__":
    answer(quantize)
