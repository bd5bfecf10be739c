"""What all tools get: networks trained once, the same weights as a torch state and as an .onnx file, and samples."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sardonyx as sx
import torch
from networks import INPUT_SHAPE, NETWORKS, load_narrower
from safetensors.torch import load_file
from sardonyx.training import TrainOptions, train_supervised

TRAINED = Path("out/networks")
"""Where the trained networks are kept, unless another folder is named."""

_SHARE_OF_TEST = 500
"""Test images that the report of a training looks at; nothing is chosen by them."""


@dataclass(frozen=True)
class Subject:
    """A model that every tool gets.

    Attributes:
        name: What it is called.
        onnx: Its file.
        weights: Its torch state; None for a file without torch source.
    """

    name: str
    onnx: Path
    weights: Path | None = None


def add_arguments(parser: argparse.ArgumentParser, *, page: str) -> None:
    """What every comparison takes: models, test images, how they are timed, and where things are kept.

    Args:
        parser: Given the arguments.
        page: What goes to ``--docs``.
    """
    parser.add_argument("--models", nargs="*", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--limit", type=int, help="test images; all 10,000 where not given")
    parser.add_argument("--epochs", type=int, default=2, help="of the training of the two networks")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--seconds", type=float, default=240.0, help="the longest timing of one model's files"
    )
    parser.add_argument("--work", type=Path, default=TRAINED, help="keeps the trained networks")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help=f"where {page}")


def chosen_subjects(arguments: argparse.Namespace) -> Iterator[Subject]:
    """The networks that were asked for, each trained when its turn comes, and then the files."""
    for name in arguments.models:
        yield trained_subject(name, arguments.work, arguments.epochs)
    for path in arguments.onnx:
        yield Subject(path.stem, path)


def trained_subject(name: str, folder: Path, epochs: int) -> Subject:
    """One of the project's networks, trained on Fashion-MNIST unless the folder holds it already.

    Args:
        name: One of ``NETWORKS``.
        folder: Where weights and file are kept.
        epochs: Passes over the training images.
    """
    weights = folder / f"{name}-{epochs}.safetensors"
    if not weights.exists():
        print(f"training {name}", file=sys.stderr)
        torch.manual_seed(0)
        train, test = (
            sx.open_data("fashion-mnist:train"),
            sx.open_data(f"fashion-mnist:test:{_SHARE_OF_TEST}"),
        )
        options = TrainOptions(epochs=epochs, precision="fp32")
        train_supervised(NETWORKS[name](), train, test, options, checkpoint=weights)
    return Subject(name, export_weights(name, weights, weights.with_suffix(".onnx")), weights)


def export_weights(name: str, weights: Path, onnx: Path) -> Path:
    """Export a network of this folder with weights of any widths, unless the file is newer than they are."""
    if not onnx.exists() or onnx.stat().st_mtime < weights.stat().st_mtime:
        module = load_narrower(NETWORKS[name](), load_file(weights))
        exported = sx.export(module, inputs={"image": sx.InputShape(INPUT_SHAPE)})
        exported.model.save(onnx, force=True)
    return onnx


def write_samples(data: sx.CalibrationData, path: Path) -> Path:
    """Write images, shape ``(samples, 1, 28, 28)``, and labels, shape ``(samples,)``, for the peers."""
    (images,) = next(data.batches(len(data))).values()
    np.savez(path, images=images, labels=data.labels)
    return path
