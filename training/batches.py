"""Batches as tensors, in an order that depends only on the seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from ..calib_data.data import CalibrationData
from ..core.errors import DataError
from ..core.tensors import Feed

Inputs: TypeAlias = tuple[torch.Tensor, ...]
"""A tensor for each input of a module, in order."""

Outputs: TypeAlias = torch.Tensor | tuple[torch.Tensor, ...]
"""What a module gives: a tensor, or several."""


@dataclass(frozen=True)
class Batch:
    """The samples of one forward pass.

    Attributes:
        inputs: As the module gets them, augmented.
        labels: A row for each sample; None where the training does without.
        positions: Which of the training samples they are, shape ``(batch,)``, int64, in the CPU's memory.
        layers: What the layers that the lesson names gave for them, by name.
    """

    inputs: Inputs = ()
    labels: torch.Tensor | None = None
    positions: torch.Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    layers: Mapping[str, torch.Tensor] = field(default_factory=dict)


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


def targets_of(data: CalibrationData, what: str) -> torch.Tensor:
    """The labels, as numbers to be met.

    Args:
        data: The samples.
        what: What they are for, for the message.

    Returns:
        float32, a row for each sample.

    Raises:
        DataError: There are none, or the labels are no finite numbers.
    """
    labels = data.labels
    if labels is None:
        raise DataError(f"the {what} samples have no labels", remedy="give data with labels")
    if labels.dtype.kind not in "fiu" or not np.isfinite(labels).all():
        raise DataError(
            f"the {what} labels are {labels.dtype}, or are not finite",
            remedy="give finite numbers for each sample, of the outputs' shape",
        )
    return torch.from_numpy(labels.astype(np.float32))


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
