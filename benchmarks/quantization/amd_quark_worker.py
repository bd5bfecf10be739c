"""Quantize with amd-quark; runs in that peer's environment. The setting: ``config``, one that it has a name for."""

from __future__ import annotations

from calls import Call, Reader, answer
from onnxruntime.quantization import CalibrationDataReader
from quark.onnx import ModelQuantizer
from quark.onnx.quantization.config import Config, get_default_config


class Samples(Reader, CalibrationDataReader):
    """The samples, as a reader of the type that is asked for."""


def quantize(call: Call) -> None:
    """From the path of the model to the path of the result."""
    quantizer = ModelQuantizer(Config(global_quant_config=get_default_config(call.setting["config"])))
    quantizer.quantize_model(str(call.onnx), str(call.output), Samples(call.feeds()))


if __name__ == "__main__":
    answer(quantize)
