"""Batches as tensors, in an order that depends only on the seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from ..calib_data.data import CalibrationData
from ..core.errors import DataError
from ..core.tensors import Feed

Inputs = tuple[torch.Tensor, ...]


def labels_of(data: CalibrationData, what: str) -> torch.Tensor:
    """The labels, as class numbers.

    Args:
        data: The samples.
        what: What they are for, for the message.

    Raises:
        DataError: There are none, or the labels are not class numbers.
    """
    labels = data.labels
    if labels is None:
        raise DataError(f"the {what} samples have no labels", remedy="give data with labels")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"the {what} labels are {labels.dtype} of shape {labels.shape}",
            remedy="give one class number per sample",
        )
    return torch.from_numpy(labels.astype(np.int64))


def epoch_order(count: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """The order of the samples in an epoch, shape ``(count,)``."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def generator_for(seed: int, *position: int) -> torch.Generator:
    """A generator for one place in the training: nothing of it has to be saved to take up again there."""
    state = np.random.SeedSequence([seed, *position]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


def read_samples(data: CalibrationData, positions: Sequence[int] | npt.NDArray[np.int64]) -> Inputs:
    """The samples at these positions, each input as one tensor, in the order of the data's names."""
    feed = data.source.read([data.indices[int(i)] for i in positions])
    return as_inputs(feed)


def batches_in_order(data: CalibrationData, size: int) -> Iterator[Inputs]:
    """Visit all samples in order."""
    return (as_inputs(feed) for feed in data.batches(size))


def as_inputs(feed: Feed) -> Inputs:
    """Tensors of a feed; images with channels last in memory, which convolutions like on the CPU."""
    tensors = (torch.from_numpy(np.ascontiguousarray(array)) for array in feed.values())
    return tuple(t.to(memory_format=torch.channels_last) if t.ndim == 4 else t for t in tensors)
