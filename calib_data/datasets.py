"""Data sets by name: handwritten digits, Fashion-MNIST, CIFAR-10. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError, MissingExtraError, UsageError
from ..core.tensors import Feed
from .cifar import read_cifar10
from .data import CalibrationData
from .idx import read_idx

SPLITS = ("train", "test")
"""The parts that every data set has."""

_FASHION_FOLDERS = ("/usr/share/datasets/fashion-mnist",)
_FASHION_FILES = {"train": "train", "test": "t10k"}
_DIGITS_SEED = 20_260_101
_DIGITS_TEST_SHARE = 0.2


@dataclass(frozen=True)
class PixelSource:
    """Images held as bytes and normalised when they are read.

    Attributes:
        pixels: Shape ``(samples, channels, height, width)``.
        scale: What pixels are divided by.
        mean: Subtracted, one for each channel.
        std: Divided by, one for each channel.
        names: The one input.
    """

    pixels: npt.NDArray[np.uint8]
    scale: float
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    names: tuple[str, ...] = ("image",)

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, indices: Sequence[int]) -> Feed:
        """The images at the indices, float32."""
        mean, std = (np.array(v, np.float32)[:, None, None] for v in (self.mean, self.std))
        values = self.pixels[np.asarray(indices)].astype(np.float32) / np.float32(self.scale)
        return {self.names[0]: (values - mean) / std}


def open_dataset(name: str, split: str = "train", root: Path | None = None) -> CalibrationData:
    """Open a data set by name.

    Args:
        name: One of :data:`DATASETS`.
        split: ``train`` or ``test``.
        root: The folder that holds it, where it is not in its usual place.

    Raises:
        UsageError: The name or the split is not known.
        DataError: Its files are not there.
        MissingExtraError: ``digits`` needs scikit-learn.
    """
    if name not in DATASETS:
        raise UsageError(f"unknown data set {name!r}", remedy=f"choose one of {', '.join(DATASETS)}")
    if split not in SPLITS:
        raise UsageError(f"{name} has no split {split!r}", remedy=f"choose one of {', '.join(SPLITS)}")
    source, labels = DATASETS[name](root, split)
    return CalibrationData(source, tuple(range(len(source))), labels, origin=f"{name}:{split}")


def _digits(root: Path | None, split: str) -> tuple[PixelSource, npt.NDArray[np.int64]]:
    """8 x 8 images of handwritten digits, 17 levels of grey, float32 ``(N, 1, 8, 8)`` within 0 and 1."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "demo") from error
    bunch = load_digits()
    order = np.random.default_rng(_DIGITS_SEED).permutation(len(bunch.images))
    count = round(_DIGITS_TEST_SHARE * len(order))
    chosen = np.sort(order[:count] if split == "test" else order[count:])
    pixels = bunch.images[chosen, None].astype(np.uint8)
    return PixelSource(pixels, 16.0), bunch.target[chosen].astype(np.int64)


def _fashion_mnist(root: Path | None, split: str) -> tuple[PixelSource, npt.NDArray[np.int64]]:
    """28 x 28 images of clothing, float32 ``(N, 1, 28, 28)``."""
    prefix = _FASHION_FILES[split]
    pixels = read_idx(_fashion_file(root, f"{prefix}-images-idx3-ubyte"))
    labels = read_idx(_fashion_file(root, f"{prefix}-labels-idx1-ubyte"))
    if pixels.shape[1:] != (28, 28) or labels.shape != pixels.shape[:1]:
        raise DataError("the files of fashion-mnist do not fit together", remedy="install them again")
    return PixelSource(pixels[:, None], 255.0, (0.2860,), (0.3530,)), labels.astype(np.int64)


def _fashion_file(root: Path | None, name: str) -> Path:
    folders = [root] if root is not None else [Path(f) for f in _FASHION_FOLDERS]
    for path in (folder / (name + suffix) for folder in folders for suffix in (".gz", "")):
        if path.is_file():
            return path
    raise DataError(
        f"fashion-mnist is not in {', '.join(str(f) for f in folders)}: {name}.gz is missing",
        remedy="install the Debian package dataset-fashion-mnist, or name the files' folder with --root",
    )


def _cifar10(root: Path | None, split: str) -> tuple[PixelSource, npt.NDArray[np.int64]]:
    """32 x 32 colour images, float32 ``(N, 3, 32, 32)``."""
    if root is None:
        raise DataError(
            "cifar10 has no usual place", remedy="name the folder of its python batches with --root"
        )
    pixels, labels = read_cifar10(root, split)
    return PixelSource(pixels, 255.0, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)), labels


DATASETS: Mapping[str, Callable[[Path | None, str], tuple[PixelSource, npt.NDArray[np.int64]]]] = {
    "digits": _digits,
    "fashion-mnist": _fashion_mnist,
    "cifar10": _cifar10,
}
"""The data sets that can be named."""
