"""The python batches of CIFAR-10."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError
from ..core.plain_file import read_plain
from .plain_pickles import load_plain

_FILES = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}
_REMEDY = "give the folder of the python version of CIFAR-10 with --root"


def read_cifar10(root: Path, split: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Read one split of CIFAR-10.

    Args:
        root: The folder of the batches, or the one that holds ``cifar-10-batches-py``.
        split: ``train`` or ``test``.

    Returns:
        Images, shape ``(samples, 3, 32, 32)``, and labels, shape ``(samples,)``.

    Raises:
        DataError: A file is missing or is not what it should be.
    """
    inner = root / "cifar-10-batches-py"
    folder = inner if inner.is_dir() else root
    parts = [_read_batch(folder / name) for name in _FILES[split]]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _read_batch(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    content = read_plain(path, "dataset_bytes", what="a CIFAR-10 batch", remedy=_REMEDY, kind=DataError)
    batch = load_plain(content, path.name)
    data, labels = (batch.get(b"data"), batch.get(b"labels")) if isinstance(batch, dict) else (None, None)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (3072,):
        raise DataError(f"{path} does not hold CIFAR-10 images", remedy=_REMEDY)
    is_list = isinstance(labels, list) and len(labels) == len(data)
    if not is_list or not all(type(n) is int and 0 <= n < 10 for n in labels or ()):
        raise DataError(f"{path} does not hold one label of 0 to 9 for each image", remedy=_REMEDY)
    return data.reshape(-1, 3, 32, 32), np.array(labels, np.int64)
