"""Quantize with aimet-onnx; runs in that peer's environment.

The setting: ``scheme`` by its own name, and ``integer_bias`` (whether biases are 32-bit integers and
weights are stored in 8 bits, which its default leaves to the runtime).
"""

from __future__ import annotations

import onnx
from aimet_onnx.quantsim import QuantizationSimModel
from calls import Call, answer


def quantize(call: Call) -> None:
    """From the path of the model to the path of the result."""
    setting, feeds = call.setting, call.feeds()
    simulated = QuantizationSimModel(
        onnx.load(call.onnx),
        param_type="int8",
        activation_type="int8",
        quant_scheme=setting["scheme"],
        dummy_input=feeds[0],
    )
    simulated.compute_encodings(feeds)
    is_integer = setting["integer_bias"]
    model = simulated.to_onnx_qdq(export_int32_bias=is_integer, prequantize_constants=is_integer)
    onnx.save(model, call.output)


if __name__ == "__main__":
    answer(quantize)
