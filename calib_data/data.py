"""Calibration data: samples that can be visited again and again in the same order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from ..core.errors import DataError, UsageError
from ..core.tensors import Array, Feed, TensorSpec
from .binding import bind
from .finite import check_finite
from .npz import read_npz


class SampleSource(Protocol):
    """Where samples come from: anything that can give the samples at some indices, stacked."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arrays."""
        ...

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def read(self, indices: Sequence[int]) -> Feed:
        """The samples at the indices, in that order, stacked on axis 0."""
        ...


@dataclass(frozen=True)
class ArraySource:
    """Samples held in memory.

    Attributes:
        arrays: One array for each input, stacked on axis 0.
    """

    arrays: Mapping[str, Array]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arrays."""
        return tuple(self.arrays)

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def read(self, indices: Sequence[int]) -> Feed:
        """The samples at the indices."""
        return {name: array[np.asarray(indices)] for name, array in self.arrays.items()}


@dataclass(frozen=True)
class CalibrationData:
    """Samples for a model: an iterable of feeds, with optional labels.

    Attributes:
        source: Where the samples come from.
        indices: Which samples of the source, in which order; never empty.
        all_labels: Labels of every sample of the source, or None.
        origin: Where it came from, for reports.
        fixed_batch: The batch size that the model insists on, or None.
        notes: What was left out or converted, in sentences for reports.
    """

    source: SampleSource
    indices: tuple[int, ...]
    all_labels: Array | None = None
    origin: str = "arrays"
    fixed_batch: int | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.indices:
            raise DataError(f"{self.origin} holds no samples", remedy="give at least one sample")

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, Array], labels: Array | None = None, origin: str = "arrays"
    ) -> CalibrationData:
        """Take samples stacked on axis 0, one array for each input.

        Args:
            arrays: An array for each input name, shape ``(samples, ...)``.
            labels: What is right for each sample, shape ``(samples, ...)``.
            origin: Where they came from, for reports.

        Raises:
            DataError: There is no array, no sample, an object array, or the lengths differ.
        """
        _check_arrays(arrays, labels, origin)
        source = ArraySource(dict(arrays))
        return cls(source, tuple(range(len(source))), labels, origin)

    @classmethod
    def from_npz(cls, path: str | Path, *, memory_bytes: int | None = None) -> CalibrationData:
        """Read an ``.npz``: one array for each input stacked on axis 0, and optionally ``labels``.

        Args:
            path: The file.
            memory_bytes: The most that its arrays may declare together.

        Raises:
            DataError: The file cannot be accepted.
            LimitError: Its arrays declare more than ``memory_bytes``.
        """
        arrays = read_npz(Path(path), memory_bytes)
        labels = arrays.pop("labels", None)
        return cls.from_arrays(arrays, labels, origin=Path(path).name)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Feed]:
        """Visit the samples one by one, or in batches of the size that the model insists on."""
        return self.batches(self.batch_size_for(1))

    @property
    def labels(self) -> Array | None:
        """Labels of the samples, in order."""
        return None if self.all_labels is None else self.all_labels[np.asarray(self.indices)]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over names, types, shapes and contents of the samples."""
        digest = hashlib.sha256()
        for index in self.indices:
            feed = self.source.read([index])
            for name in sorted(feed):
                digest.update(f"{name}:{feed[name].dtype}:{feed[name].shape}".encode())
                digest.update(np.ascontiguousarray(feed[name]).tobytes())
        return digest.hexdigest()

    def batches(self, size: int, *, start: int = 0) -> Iterator[Feed]:
        """Visit the samples in order.

        Args:
            size: Samples in a batch; the last may hold fewer. A model that insists on a batch size gets that.
            start: The sample to begin with, the first of a batch.

        Yields:
            An array for each input name, batched on axis 0.

        Raises:
            DataError: A value is not finite; batch, input and sample are named.
        """
        size = self.batch_size_for(size)
        for first in range(start, len(self.indices), size):
            chosen = self.indices[first : first + size]
            feed = self.source.read(chosen)
            for name, array in feed.items():
                check_finite(array, f"input {name!r}", first // size, chosen)
            yield feed

    def batch_size_for(self, wanted: int) -> int:
        """The batch size to use where ``wanted`` is wished for."""
        return self.fixed_batch or wanted

    def subset(self, limit: int, *, seed: int = 0) -> CalibrationData:
        """A seeded choice of at most ``limit`` samples, in their original order.

        Where the model insists on a batch size, whole batches are chosen, and one at least.

        Raises:
            UsageError: The limit is below one.
        """
        if limit < 1:
            raise UsageError(f"a limit of {limit} samples leaves none", remedy="give a limit of at least 1")
        limit = max(limit, self.fixed_batch or 1)
        if limit >= len(self.indices):
            return self
        chosen = np.sort(np.random.default_rng(seed).choice(len(self.indices), limit, replace=False))
        return self._keep([self.indices[i] for i in chosen])

    def split(self, share: float, *, seed: int = 0) -> tuple[CalibrationData, CalibrationData]:
        """Split by a seeded choice; the second part holds ``share`` of the samples (at least one).

        Raises:
            UsageError: The share is not within 0 and 1, or leaves one part without samples.
        """
        order = np.random.default_rng(seed).permutation(len(self.indices))
        step = self.fixed_batch or 1
        cut = max(1, round(share * len(order) / step)) * step if 0 < share < 1 else len(order)
        if cut >= len(order):
            raise UsageError(f"{len(self)} samples cannot be split at {share}", remedy="give more samples")
        first, second = ([self.indices[i] for i in np.sort(part)] for part in (order[cut:], order[:cut]))
        return self._keep(first), self._keep(second)

    def for_model(self, specs: Sequence[TensorSpec]) -> CalibrationData:
        """Bind the samples to a model's inputs, refusing what does not fit before the first run.

        The only array serves a model's only input, whatever their names. Where every array has one more
        dimension than its input, each sample is a whole feed and they are run one by one.

        Args:
            specs: The model's inputs.

        Raises:
            DataError: Names, ranks, dimensions or types differ; what is expected and what is given is said.
        """
        bound = bind(self.source, self.indices, specs)
        return replace(
            self, source=bound.source, fixed_batch=bound.fixed_batch, notes=(*self.notes, *bound.notes)
        )._keep(self.indices)

    def _keep(self, indices: Sequence[int]) -> CalibrationData:
        """The samples at some indices of the source, in whole batches where the model insists on a size."""
        dropped = len(indices) % (self.fixed_batch or 1)
        if not dropped:
            return replace(self, indices=tuple(indices))
        if dropped == len(indices):
            raise DataError(
                f"the model takes batches of {self.fixed_batch}, {len(indices)} samples are given",
                remedy=f"give at least {self.fixed_batch} samples",
            )
        note = f"{dropped} trailing samples were dropped: the model takes batches of {self.fixed_batch}"
        return replace(self, indices=tuple(indices[: len(indices) - dropped]), notes=(*self.notes, note))


def _check_arrays(arrays: Mapping[str, Array], labels: Array | None, origin: str) -> None:
    if not arrays:
        raise DataError(f"{origin} holds no array", remedy="give one array for each model input")
    named = dict(arrays) if labels is None else {**arrays, "labels": labels}
    for name, array in named.items():
        if array.dtype.hasobject:
            raise DataError(f"{origin}: {name!r} is an array of objects", remedy="give plain numbers")
        if not array.ndim:
            raise DataError(f"{origin}: {name!r} is a single number", remedy="stack the samples on axis 0")
    lengths = {name: len(array) for name, array in named.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataError(
            f"{origin}: the arrays differ in length: {shown}", remedy="give as many samples in each"
        )
