"""Statistics on disk: kept for the next time, and taken up again by a run that follows an interrupted one.

A file holds plain arrays, with a line for each value; nothing in it is ever unpickled. A file that is damaged, or is
not what is looked for, is as good as none.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..core.cache import cache_path
from ..core.errors import DataError, LimitError, SardonyxError, StorageError
from ..core.files import write_atomic
from ..core.limits import current_limits
from ..core.tensors import Array
from .histograms import DEFAULT_BINS
from .npz import read_npz
from .statistics import ValueObserver

_FORMAT = 1
_ARRAYS = frozenset({"numbers", "averages", "counts", "widths", "channels"})
_COLUMNS = ("samples", "elements", "step", "phase", "pending", "low", "high", "zeros", "width")


@dataclass(frozen=True)
class Checkpoint:
    """The file that keeps the statistics of one calibration.

    Attributes:
        path: The file.
        note: Told in a sentence what became of it.
    """

    path: Path
    note: Callable[[str], None]

    @classmethod
    def of(cls, model: str, data: str, settings: str, note: Callable[[str], None]) -> Checkpoint:
        """The file in the cache folder.

        Args:
            model: Digest of the graph.
            data: Fingerprint of the samples.
            settings: All else that the statistics depend on.
            note: Told in a sentence what became of it.
        """
        path = cache_path("calibration", model=model, data=data, settings=settings, format=_FORMAT)
        return cls(path.with_suffix(".npz"), note)

    def read(
        self, names: Sequence[str], axes: Mapping[str, int], samples: int
    ) -> dict[str, ValueObserver] | None:
        """The observers as they were; None where there is no file, or none that can be read.

        Args:
            names: The values.
            axes: For values whose channels are told apart, the axis.
            samples: How many samples a run that was not interrupted has seen.
        """
        if not self.path.is_file():
            return None
        try:
            found = _observers_of(read_npz(self.path, current_limits().statistics_bytes), names, axes)
        except (DataError, LimitError, ValueError, OverflowError) as error:
            reason = error.cause if isinstance(error, SardonyxError) else error
            self.note(
                f"the statistics of an earlier calibration are damaged and are collected anew: {reason}"
            )
            return None
        self.note(_told(sum(o.samples for o in found.values()) / len(found), samples))
        return found

    def write(self, observers: Mapping[str, ValueObserver]) -> bool:
        """Keep the observers as they are; where the folder does not allow it, say so.

        Returns:
            Whether they are kept.
        """
        arrays = _arrays_of(list(observers.values()))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.path, lambda file: _write(file, arrays))
        except (OSError, StorageError) as error:
            reason = error.cause if isinstance(error, StorageError) else error
            self.note(f"the statistics are not kept for the next calibration: {reason}")
            return False
        return True


def _told(seen: float, samples: int) -> str:
    """What an earlier run left, in a sentence.

    Args:
        seen: Samples that it has seen, averaged over the values: a run in parts has finished with some of them.
        samples: Samples in all.
    """
    if seen >= samples:
        return f"the statistics of an earlier calibration on the same {samples:,} samples are used again"
    return f"a calibration that was interrupted at {int(100 * seen / samples)}% of {samples:,} samples goes on from there"


def _write(file: BinaryIO, arrays: Mapping[str, Array]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def _arrays_of(observers: Sequence[ValueObserver]) -> dict[str, Array]:
    for observer in observers:
        observer.finish()
    rows = [
        (o.samples, o.elements, o.step, o.phase, o.pending, h.low, h.high, h.zeros, h.width)
        for o in observers
        for h in [o.histogram]
    ]
    return {
        "numbers": np.array(rows, np.float64),
        "averages": np.stack([o.averages for o in observers]),
        "counts": np.stack([o.histogram.counts for o in observers]),
        "widths": np.array([o.channels.shape[1] for o in observers], np.int64),
        "channels": np.concatenate([o.channels for o in observers], axis=1),
    }


def _observers_of(
    arrays: Mapping[str, Array], names: Sequence[str], axes: Mapping[str, int]
) -> dict[str, ValueObserver]:
    """Observers from their arrays.

    Raises:
        ValueError: There are other arrays, one has another shape, or holds what no observer can hold.
    """
    if set(arrays) != _ARRAYS:
        raise ValueError("it holds other arrays")
    count = len(names)
    numbers, averages, counts = arrays["numbers"], arrays["averages"], arrays["counts"]
    widths, channels = arrays["widths"], arrays["channels"]
    shapes = (numbers.shape, averages.shape, counts.shape, widths.shape, channels.shape)
    wanted = ((count, len(_COLUMNS)), (count, 3), (count, DEFAULT_BINS), (count,), (2, int(widths.sum())))
    if shapes != wanted or counts.min() < 0 or np.isnan(numbers).any():
        raise ValueError("the arrays do not fit together")
    parts = np.split(channels, np.cumsum(widths)[:-1], axis=1)
    made = {}
    for name, row, average, bins, part in zip(names, numbers, averages, counts, parts, strict=True):
        told = dict(zip(_COLUMNS, row.tolist(), strict=True))
        observer = ValueObserver(
            name,
            axis=axes.get(name),
            step=int(told["step"]),
            phase=int(told["phase"]),
            pending=int(told["pending"]),
        )
        observer.samples, observer.elements = int(told["samples"]), int(told["elements"])
        observer.averages, observer.channels = average.copy(), part.copy()
        histogram = observer.histogram
        histogram.low, histogram.high, histogram.width = told["low"], told["high"], told["width"]
        histogram.zeros, histogram.counts = int(told["zeros"]), bins.copy()
        made[name] = observer
    return made
