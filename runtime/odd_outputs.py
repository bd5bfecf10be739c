"""What has to be said of outputs whatever they are measured by: that some are NaN, or that all are alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..core.tensors import Array


class OutputWatch:
    """Looks at the outputs that a figure is taken from, batch by batch."""

    def __init__(self) -> None:
        self._samples = 0
        self._broken = 0
        self._first: list[Array] | None = None
        self._alike = True

    def see(self, outputs: Sequence[Array], samples: int) -> None:
        """Look at one batch.

        Args:
            outputs: The outputs that count; one that is not batched on axis 0 is not looked at.
            samples: Samples in the batch.
        """
        rows = [array for array in outputs if array.shape[:1] == (samples,)]
        broken = np.zeros(samples, bool)
        for array in rows:
            if array.dtype.kind in "fc":
                broken |= ~np.isfinite(array).reshape(samples, -1).all(1)
        self._samples += samples
        self._broken += int(broken.sum())
        if self._first is None:
            self._first = [array[:1] for array in rows]
        self._alike = self._alike and all(
            array.shape[1:] == first.shape[1:] and bool((array == first).all())
            for array, first in zip(rows, self._first, strict=False)
        )

    def notes(self) -> Iterator[str]:
        """What is odd, in sentences."""
        if self._broken:
            yield f"the outputs hold NaN or infinity on {self._broken} of {self._samples} samples"
        if self._alike and self._first and self._samples > 1:
            yield f"the outputs are the same on all {self._samples} samples"
