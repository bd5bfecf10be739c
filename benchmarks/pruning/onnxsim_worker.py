"""Prune an .onnx file with onnxsim; runs in that peer's environment.

The job: ``onnx``, ``samples`` (npz), ``is_calibrated`` (Wanda on the samples, else the L2 norm of weights), ``is_global``.
The file is simplified first, for its matching of chains wants batch normalisation folded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxsim
from aiming import Aim
from jobs import serve
from onnxsim import pruning

_BATCH = 128


def prepare(job: dict[str, Any]) -> Callable[[str, Path], float]:
    """Simplify the file, once for all shares."""
    loaded = onnx.load(job["onnx"])
    model, is_equal = onnxsim.simplify(loaded)
    if not is_equal:
        model = loaded
    size, feeds = _size(model), _feeds(model, Path(job["samples"]))

    def cut(ratio: float) -> tuple[onnx.ModelProto, float]:
        if job["is_calibrated"]:
            pruned = pruning.apply_structured_wanda_pruning(
                model, feeds, sparsity=ratio, global_sparsity=job["is_global"]
            )
        else:
            pruned = pruning.apply_structured_pruning(model, sparsity=ratio, global_sparsity=job["is_global"])
        return pruned, _size(pruned) / size

    aim = Aim(cut)

    def perform(share: str, output: Path) -> float:
        trial = aim.closest(float(share))
        onnx.save(trial.result, output)
        return trial.seconds

    return perform


def _size(model: onnx.ModelProto) -> int:
    return sum(math.prod(tensor.dims) for tensor in model.graph.initializer)


def _feeds(model: onnx.ModelProto, samples: Path) -> list[dict[str, np.ndarray]]:
    images = np.load(samples, allow_pickle=False)["images"]
    name = model.graph.input[0].name
    return [{name: images[start : start + _BATCH]} for start in range(0, len(images), _BATCH)]


if __name__ == "__main__":
    serve(prepare)
