"""Files of one model measured in one process: accuracy, and latency in turns."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import sardonyx as sx
from sardonyx.runtime import Accuracy, LatencyOptions, LatencyRow, evaluate, measure_latency

Key = TypeVar("Key", bound=Hashable)

BATCHES = (1, 32)


@dataclass(frozen=True)
class Measured:
    """A file, measured.

    Attributes:
        model: The file, opened.
        top1: Accuracy on the test images.
        latency: A row for each of :data:`BATCHES` that it takes, against the first file.
    """

    model: sx.ModelArtifact
    top1: Accuracy
    latency: tuple[LatencyRow, ...]


def measure_files(
    files: Mapping[Key, Path], test: sx.CalibrationData, *, threads: int, seconds: float
) -> dict[Key, Measured | str]:
    """Measure all files of one model; those that are equal to the byte are measured once.

    Args:
        files: The files, the model as it was being the first.
        test: The test images.
        threads: Threads inside an operator.
        seconds: The longest that timing may take.

    Returns:
        What was measured of each, or why it does not run.
    """
    models: dict[str, sx.ModelArtifact] = {}
    accuracy: dict[str, Accuracy] = {}
    found: dict[Key, str] = {}
    refused: dict[Key, Measured | str] = {}
    for key, path in files.items():
        print(f"measuring {path.stem}", file=sys.stderr, flush=True)
        try:
            model = sx.open_model(path)
            if model.sha256 not in accuracy:
                accuracy[model.sha256] = evaluate(model, test, threads=threads)
        except sx.SardonyxError as error:
            refused[key] = f"does not run: {str(error).splitlines()[0]}"
        else:
            models.setdefault(model.sha256, model)
            found[key] = model.sha256
    print("timing", file=sys.stderr, flush=True)
    options = LatencyOptions(batches=BATCHES, threads=threads, seconds=seconds)
    timed = measure_latency(models, test, options)
    latency = {name: tuple(row for row in timed.rows if row.model == name) for name in models}
    measured = {key: Measured(models[name], accuracy[name], latency[name]) for key, name in found.items()}
    return refused | measured
