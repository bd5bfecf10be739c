"""Running a model of a bundle on ONNX Runtime's own CPU kernels, from a checked model or from a file in ORT format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ..core import ModelArtifact
from ..core.errors import DataError, MissingExtraError, ModelError
from ..core.run_errors import blame
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
    options = one_thread()
    if not optimize:
        options.graph_optimization_level = type(options.graph_optimization_level).ORT_DISABLE_ALL
    source = str(model) if isinstance(model, Path) else model.content
    session = open_session(source, options, model.name, remedy="run `sardonyx inspect` on the model")
    names = [output.name for output in session.get_outputs()]

    def run(feed: Feed) -> dict[str, Array]:
        return dict(zip(names, run_batch(session, names, feed), strict=True))

    return run


def one_thread() -> Any:
    """Options of a session that computes on one thread and says nothing.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
    """
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "cpu") from error
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return options


def open_session(source: str | bytes, options: Any, name: str, *, remedy: str) -> Any:
    """Open a session on the CPU.

    Args:
        source: A file's path, or a model.
        options: Of the session.
        name: What to call the model in an error.
        remedy: What to do where ONNX Runtime refuses it.

    Raises:
        ModelError: ONNX Runtime refuses the model.
    """
    import onnxruntime as ort

    try:
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own errors share no base class
        refusal = ModelError(f"ONNX Runtime refuses {name}: {error}", remedy=remedy)
        raise blame(error, refusal) from error


def run_batch(session: Any, names: Sequence[str] | None, feed: Feed) -> list[Array]:
    """Run a session once.

    Args:
        session: The session.
        names: The outputs that are wanted; all where None.
        feed: An array for each input.

    Raises:
        DataError: The model fails on the batch.
    """
    try:
        return list(session.run(names, feed))
    except Exception as error:  # ONNX Runtime's own errors share no base class
        failure = DataError(
            f"the model fails on a batch: {error}", remedy="check the samples against the model's inputs"
        )
        raise blame(error, failure) from error
