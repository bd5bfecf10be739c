"""Quantize with Sardonyx. The setting: words of ``sardonyx.quantize``.

What it keeps between runs goes to a folder that is empty at first, so that nothing comes from an earlier call.
"""

from __future__ import annotations

import os
import tempfile

import sardonyx as sx
from calls import Call, answer


def quantize(call: Call) -> None:
    """From the path of the model to the path of the result."""
    with tempfile.TemporaryDirectory() as empty:
        os.environ["SARDONYX_CACHE"] = empty
        data = sx.CalibrationData.from_npz(call.samples)
        sx.quantize(call.onnx, data, **call.setting).save(call.output, force=True)


if __name__ == "__main__":
    answer(quantize)
