"""Quantize with nvidia-modelopt; runs in that peer's environment.

The setting: ``method`` and ``float_type`` by its own names.
"""

from __future__ import annotations

from calls import Call, answer
from modelopt.onnx.quantization import quantize as quantize_onnx


def quantize(call: Call) -> None:
    """From the path of the model to the path of the result."""
    images = call.images()
    shape = "x".join(map(str, (call.batch, *images.shape[1:])))
    quantize_onnx(
        str(call.onnx),
        quantize_mode="int8",
        calibration_data={call.input: images[: len(images) // call.batch * call.batch]},
        calibration_shapes=f"{call.input}:{shape}",
        calibration_method=call.setting["method"],
        calibration_eps=["cpu"],
        high_precision_dtype=call.setting["float_type"],
        output_path=str(call.output),
        log_level="ERROR",
    )


if __name__ == "__main__":
    answer(quantize)
