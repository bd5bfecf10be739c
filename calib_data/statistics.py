"""What calibration keeps of a value, enough for every way to choose its range, in memory that does not grow.

* Smallest and largest element: exact, of every element, and of every channel where they are asked for.
* Moving average of the smallest and the largest element of each sample.
* A histogram. Where a value has more than :data:`HISTOGRAM_ELEMENTS` elements over all samples, it counts every
  ``step``-th of them. With ``n`` elements counted, a share ``p`` of the distribution is found to a standard error of
  ``sqrt(p (1 - p) / n)``: at half a million, 0.07 points in the middle, and 0.001 points at the 99.99th percentile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError
from ..core.tensors import Array
from .finite import check_finite
from .histograms import Histogram

Vector = npt.NDArray[np.float64]
Rows = npt.NDArray[np.floating[Any]]

HISTOGRAM_ELEMENTS = 1 << 20
"""Most elements of a value that its histogram counts."""

AVERAGING = 0.01
"""Weight of a new sample in the moving average, once there are many; the first samples count alike."""


@dataclass(frozen=True)
class ValueStatistics:
    """What was seen of one value.

    Attributes:
        low: Smallest element.
        high: Largest element.
        average_low: Moving average of the smallest element of each sample.
        average_high: Moving average of the largest element of each sample.
        histogram: Counts of the elements; its ``low`` and ``high`` are those of all elements.
        samples: Number of samples.
        elements: Number of elements.
        step: The histogram holds every ``step``-th element.
        axis: The axis whose channels are told apart, or None.
        channel_low: Smallest element of each channel, shape ``(channels,)``; empty without an axis.
        channel_high: Largest element of each channel, shape ``(channels,)``; empty without an axis.
    """

    low: float
    high: float
    average_low: float
    average_high: float
    histogram: Histogram
    samples: int
    elements: int
    step: int
    axis: int | None
    channel_low: Vector
    channel_high: Vector

    @property
    def constant(self) -> bool:
        """Whether every element is the same."""
        return self.low == self.high

    @property
    def channel_amax(self) -> Vector:
        """Largest magnitude of each channel, shape ``(channels,)``; empty without an axis."""
        return np.maximum(np.abs(self.channel_low), np.abs(self.channel_high))


class ValueObserver:
    """Sees every batch of one value and keeps what :class:`ValueStatistics` shows.

    What it keeps does not depend on how the samples are cut into batches, but for the rounding of the averages.

    Args:
        name: The value, for errors.
        axis: The axis whose channels are told apart, or None.
        step: The histogram counts every ``step``-th element.
        phase: Which of the first ``step`` elements it begins with.
        pending: Most elements that wait to be sorted into the histogram together.

    Attributes:
        samples: Samples seen.
        elements: Elements seen.
        pending: Most elements that wait.
        averages: Weighted sums of the samples' smallest elements, of their largest ones, and of the weights.
        histogram: The histogram, without the elements that wait.
        channels: Smallest and largest element of each channel, shape ``(2, channels)``; ``(2, 0)`` before the first batch
            and without an axis.
    """

    def __init__(
        self, name: str, *, axis: int | None = None, step: int = 1, phase: int = 0, pending: int = 1 << 16
    ) -> None:
        self.name = name
        self.axis = axis
        self.step = step
        self.phase = phase
        self.samples = 0
        self.elements = 0
        self.averages: Vector = np.zeros(3)
        self.histogram = Histogram()
        self.channels: npt.NDArray[np.float64] = np.zeros((2, 0))
        self._waiting: list[Rows] = []
        self._room = self.pending = pending

    def memory_bytes(self, shape: tuple[int, ...]) -> int:
        """How much it keeps for a value of this shape: the histogram, what waits for it, and the channels."""
        channels = 0 if self.axis is None else shape[self.axis]
        return self.histogram.memory_bytes(shape) + 4 * self.pending + 16 * channels + 256

    def update(self, array: Array, samples: int, batch: int) -> None:
        """Take one batch in.

        Args:
            array: The value; its samples lie along axis 0 where that has as many indices as there are samples.
            samples: Samples in the batch.
            batch: Index of the batch, for errors.

        Raises:
            DataError: An element is not finite; value and batch are named.
        """
        if array.size:
            rows = np.ascontiguousarray(
                array if array.dtype == np.float64 else array.astype(np.float32, copy=False)
            )
            low, high = self._extremes(rows, samples)
            # Infinity is an extreme, and NaN spreads into every extreme: the elements need not be read once more.
            if not (np.isfinite(low).all() and np.isfinite(high).all()):
                check_finite(array, self.name, batch)
            self._average(low, high, samples)
            self.histogram.widen(float(low.min()), float(high.max()))
            self._count(rows.reshape(-1))
        self.samples += samples

    def finish(self) -> None:
        """Sort what waits into the histogram."""
        if self._waiting:
            self.histogram.add(np.concatenate(self._waiting))
            self._waiting.clear()
        self._room = self.pending

    def statistics(self) -> ValueStatistics:
        """What was seen.

        Raises:
            DataError: No element was.
        """
        if not self.elements:
            raise DataError(
                f"{self.name} is empty on every sample", remedy="give other samples, or exclude its nodes"
            )
        self.finish()
        low, high = self.averages[:2] / self.averages[2]
        return ValueStatistics(
            low=self.histogram.low,
            high=self.histogram.high,
            average_low=float(low),
            average_high=float(high),
            histogram=self.histogram,
            samples=self.samples,
            elements=self.elements,
            step=self.step,
            axis=self.axis,
            channel_low=self.channels[0],
            channel_high=self.channels[1],
        )

    def _extremes(self, rows: Rows, samples: int) -> tuple[Rows, Rows]:
        """Smallest and largest element of each sample, or of the batch; the channels' are kept on the way."""
        count = samples if rows.ndim and rows.shape[0] == samples else 1
        if self.axis is None:
            flat = rows.reshape(count, -1)
            return flat.min(1), flat.max(1)
        axis = self.axis % rows.ndim
        width = rows.shape[axis]
        parts = rows.reshape(math.prod(rows.shape[:axis]), width, -1)
        # Along the last axis first, where elements lie side by side.
        low, high = (parts.min(2), parts.max(2)) if parts.shape[2] > 1 else (parts[..., 0], parts[..., 0])
        channels = np.stack([low.min(0), high.max(0)]).astype(np.float64)
        if self.channels.shape[1]:
            np.minimum(self.channels[0], channels[0], out=channels[0])
            np.maximum(self.channels[1], channels[1], out=channels[1])
        self.channels = channels
        return low.reshape(count, -1).min(1), high.reshape(count, -1).max(1)

    def _average(self, low: Rows, high: Rows, samples: int) -> None:
        """Let the averages forget a little of what was, for each sample of the batch."""
        weights = AVERAGING * (1.0 - AVERAGING) ** np.arange(samples - 1, -1, -1.0)
        self.averages *= (1.0 - AVERAGING) ** samples
        self.averages += [np.sum(weights * low), np.sum(weights * high), np.sum(weights)]

    def _count(self, flat: Rows) -> None:
        """Take every ``step``-th element, counted over all batches, for the histogram."""
        chosen = flat[(self.phase - self.elements) % self.step :: self.step]
        self.elements += flat.size
        if chosen.size >= self.pending:
            self.histogram.add(chosen)
            return
        if chosen.size > self._room:
            self.finish()
        self._waiting.append(chosen.copy())
        self._room -= chosen.size


def step_for(elements: int, sample: int) -> int:
    """How many elements to go on so that at most :data:`HISTOGRAM_ELEMENTS` of a value are counted.

    A prime that does not divide the elements of a sample divides none of its dimensions either: the elements taken
    come from all channels and all positions alike, and from other ones in each sample.

    Args:
        elements: Elements of the value over all samples.
        sample: Elements of the value in one sample.
    """
    step = -(-elements // HISTOGRAM_ELEMENTS)
    if step <= 1:
        return 1
    while sample % step == 0 or not _is_prime(step):
        step += 1
    return step


def _is_prime(number: int) -> bool:
    return all(number % divisor for divisor in range(2, math.isqrt(number) + 1))
