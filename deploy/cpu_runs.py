"""Running a model of a bundle on ONNX Runtime's own CPU kernels, from a checked model or from a file in ORT format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from ..core import ModelArtifact
from ..core.errors import DataError, MissingExtraError, ModelError
from ..core.tensors import Array, Feed

Run: TypeAlias = Callable[[Feed], dict[str, Array]]
"""Runs one batch: from an array for each input to an array for each output."""


def open_on_cpu(model: ModelArtifact | Path, *, optimize: bool = True) -> Run:
    """Open a model on one thread, where the order of sums does not depend on how many cores there are.

    Args:
        model: The model, or a file in ORT format.
        optimize: Whether ONNX Runtime may fuse and fold; a file in ORT format is as it is.

    Returns:
        What runs a batch. It raises a DataError where the model fails on it.

    Raises:
        ModelError: ONNX Runtime refuses the model.
        MissingExtraError: ONNX Runtime is not installed.
    """
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "cpu") from error
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = str(model) if isinstance(model, Path) else model.content
    try:
        session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own errors share no base class
        raise ModelError(
            f"ONNX Runtime refuses {model.name}: {error}", remedy="run `sardonyx inspect` on the model"
        ) from error
    names = [output.name for output in session.get_outputs()]

    def run(feed: Feed) -> dict[str, Array]:
        try:
            return dict(zip(names, session.run(names, feed), strict=True))
        except Exception as error:  # as above
            raise DataError(
                f"the model fails on a batch: {error}", remedy="check the samples against the model's inputs"
            ) from error

    return run
