"""Models and samples, opened for the verbs."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias, overload

import numpy as np

from ..calib_data import CalibrationData, open_data
from ..core import ModelArtifact
from ..core.errors import UsageError
from ..core.files import check_output, write_atomic
from ..core.reports import PassReport
from ..core.tensors import Array
from ..passes import CleanupPass
from .monitor import Monitor

ModelLike: TypeAlias = ModelArtifact | str | Path
"""A model that is open, or the path of one."""

CALIBRATION_SAMPLES = 1024
"""Samples that calibration takes, by the seed, where DATA names no limit."""


def open_model(path: str | Path) -> ModelArtifact:
    """Open an ``.onnx`` file through every check of the door.

    Args:
        path: The file.

    Raises:
        ModelError: The file cannot be accepted.
        LimitError: A limit refuses it.
    """
    return ModelArtifact.open(Path(path))


def as_model(model: ModelLike, monitor: Monitor | None = None) -> ModelArtifact:
    """The model itself, or the file opened.

    Args:
        model: The model.
        monitor: Is told what was repaired when it was opened, and what needs care.
    """
    artifact = model if isinstance(model, ModelArtifact) else open_model(model)
    if monitor is not None:
        for note in artifact.notes:
            monitor.note(f"{artifact.name}: {note}")
    return artifact


def clean(model: ModelArtifact) -> tuple[ModelArtifact, PassReport]:
    """The model after the cleanup that pruning and quantization rely on, and what the cleanup did."""
    graph = model.load()
    cleanup = CleanupPass()
    cleanup(graph)
    return ModelArtifact.of(graph), cleanup.report


def open_calibration(
    text: str | None,
    *,
    root: Path | None = None,
    preprocess: str | None = None,
    seed: int = 0,
) -> CalibrationData | None:
    """Open samples for calibration: 1,024 of them, chosen by the seed, where the text names no number.

    Args:
        text: DATA, or None for no samples.
        root: Folder of a data set that is not in its usual place.
        preprocess: How a folder of images becomes arrays.
        seed: Seed of the choice.

    Raises:
        DataError: The samples cannot be accepted.
        UsageError: The text names nothing known.
    """
    if text is None:
        return None
    return open_data(text, root=root, preprocess=preprocess, default_limit=CALIBRATION_SAMPLES, seed=seed)


@overload
def open_evaluation(
    text: str, *, root: Path | None = None, preprocess: str | None = None, seed: int = 0
) -> CalibrationData: ...


@overload
def open_evaluation(
    text: None, *, root: Path | None = None, preprocess: str | None = None, seed: int = 0
) -> None: ...


@overload
def open_evaluation(
    text: str | None, *, root: Path | None = None, preprocess: str | None = None, seed: int = 0
) -> CalibrationData | None: ...


def open_evaluation(
    text: str | None, *, root: Path | None = None, preprocess: str | None = None, seed: int = 0
) -> CalibrationData | None:
    """Open samples to judge with: all of them, where the text names no number; see :func:`open_calibration`."""
    return None if text is None else open_data(text, root=root, preprocess=preprocess, seed=seed)


@dataclass(frozen=True)
class WrittenSamples:
    """Samples written to a file.

    Attributes:
        path: The file.
        samples: How many.
        size_bytes: Bytes of the file.
        arrays: Each array in words: name, type and shape.
        fingerprint: SHA-256 of the samples.
        origin: Where they came from.
    """

    path: Path
    samples: int
    size_bytes: int
    arrays: tuple[str, ...]
    fingerprint: str
    origin: str


def write_samples(
    text: str,
    output: Path,
    *,
    root: Path | None = None,
    preprocess: str | None = None,
    seed: int = 0,
    force: bool = False,
) -> WrittenSamples:
    """Write samples and their labels as an ``.npz``.

    Args:
        text: DATA.
        output: The file to write.
        root: Folder of a data set that is not in its usual place.
        preprocess: How a folder of images becomes arrays.
        seed: Seed of a choice of samples.
        force: Whether an existing file may be replaced.

    Raises:
        DataError: The samples cannot be accepted.
        UsageError: The file exists, or would not be called ``.npz``.
    """
    if output.suffix != ".npz":
        raise UsageError(f"output {output} does not end in .npz", remedy="name a file such as digits.npz")
    check_output(output, force=force)
    data = open_data(text, root=root, preprocess=preprocess, seed=seed)
    arrays = data.source.read(data.indices)
    if data.labels is not None:
        arrays = {**arrays, "labels": data.labels}
    write_atomic(output, lambda file: _write_npz(file, arrays))
    shown = tuple(
        f"{name}: {array.dtype} {'x'.join(map(str, array.shape))}" for name, array in arrays.items()
    )
    return WrittenSamples(output, len(data), output.stat().st_size, shown, data.fingerprint, data.origin)


def _write_npz(file: BinaryIO, arrays: Mapping[str, Array]) -> None:
    """As ``np.savez_compressed`` does, but with arrays of any name, ``file`` included."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)
