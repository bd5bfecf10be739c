"""Quantize with nncf; runs in that peer's environment. The setting: ``preset`` and ``model_type``, by its own names."""

from __future__ import annotations

import os

os.environ["NNCF_CI"] = "1"  # it reports its use over the network otherwise

import nncf
import onnx
from calls import Call, answer


def quantize(call: Call) -> None:
    """From the path of the model to the path of the result."""
    feeds, kind = call.feeds(), call.setting["model_type"]
    model = nncf.quantize(
        onnx.load(call.onnx),
        nncf.Dataset(feeds),
        preset=nncf.QuantizationPreset[call.setting["preset"]],
        subset_size=len(feeds),
        model_type=kind and nncf.ModelType[kind],
    )
    onnx.save(model, call.output)


if __name__ == "__main__":
    answer(quantize)
