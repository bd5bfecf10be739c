"""Samples from iterables of feeds: a user's function in a file, or a torch data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError, SardonyxError
from ..core.tensors import Array
from ..core.user_code import run_file
from .data import CalibrationData
from .npz import check_memory

_FORM = "yield a dictionary of arrays, or a pair of one and its labels; each batch on axis 0"


def from_function(path: Path, name: str, *, memory_bytes: int | None = None) -> CalibrationData:
    """Call a function of a Python file and take the batches it gives.

    The file is the user's own code, named by the user, and is run.

    Args:
        path: The file.
        name: The function: takes nothing, returns an iterable of feeds, or of pairs of a feed and its labels; or a
            torch data set, whose items are samples.
        memory_bytes: The most that all batches may take together.

    Raises:
        DataError: The file or the function is missing or fails, or what it gives are not batches.
        LimitError: The batches take more than ``memory_bytes``.
    """
    from .torch_dataset import from_torch, is_torch_dataset  # which itself takes feeds

    origin = f"{path.name}:{name}"
    function = _load(path, name)
    try:
        batches = function()
        if isinstance(batches, CalibrationData):
            return batches
        if is_torch_dataset(batches):
            return from_torch(batches, memory_bytes=memory_bytes)
        return from_feeds(
            [batches] if isinstance(batches, Mapping) else batches, origin, memory_bytes=memory_bytes
        )
    except SardonyxError:
        raise
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        raise DataError(
            f"{origin} failed: {type(error).__name__}: {error}",
            remedy="call the function by itself to see why",
        ) from error


def from_feeds(batches: Iterable[Any], origin: str, *, memory_bytes: int | None = None) -> CalibrationData:
    """Take batches into memory; each is copied, since a generator may fill the same arrays again.

    Args:
        batches: Feeds, or pairs of a feed and its labels.
        origin: Where they come from, for messages.
        memory_bytes: The most that they may take together.

    Raises:
        DataError: A batch is not a feed, names or shapes differ between batches, or there is none.
        LimitError: The batches take more than ``memory_bytes``.
    """
    taken: list[dict[str, Array]] = []
    size = 0
    for index, batch in enumerate(_iterate(batches, origin)):
        taken.append(_as_arrays(batch, f"{origin}, batch {index}"))
        size += sum(array.nbytes for array in taken[-1].values())
        check_memory(size, memory_bytes, origin)
    if not taken:
        raise DataError(f"{origin} gives no batch", remedy=_FORM)
    arrays = {name: _joined([batch.get(name) for batch in taken], name, origin) for name in taken[0]}
    labels = arrays.pop("labels", None)
    return CalibrationData.from_arrays(arrays, labels, origin)


def _iterate(batches: Iterable[Any], origin: str) -> Iterator[Any]:
    if isinstance(batches, (str, bytes)) or not isinstance(batches, Iterable):
        raise DataError(f"{origin} gives a {type(batches).__name__}, not batches", remedy=_FORM)
    return iter(batches)


def _as_arrays(batch: Any, place: str) -> dict[str, Array]:
    feed, labels = batch if isinstance(batch, tuple) and len(batch) == 2 else (batch, None)
    if not isinstance(feed, Mapping) or not feed:
        raise DataError(f"{place} is a {type(feed).__name__}, not a feed", remedy=_FORM)
    arrays = {str(name): np.array(value) for name, value in feed.items()}
    if labels is not None:
        arrays["labels"] = np.array(labels)
    lengths = {array.shape[0] if array.ndim else None for array in arrays.values()}
    if len(lengths) != 1 or None in lengths or any(a.dtype.hasobject for a in arrays.values()):
        raise DataError(f"{place} holds arrays of different lengths, or no arrays", remedy=_FORM)
    return arrays


def _joined(parts: list[Array | None], name: str, origin: str) -> Array:
    arrays = [part for part in parts if part is not None]
    if len(arrays) != len(parts):
        raise DataError(f"{origin} gives {name!r} in some batches only", remedy=_FORM)
    if len({(array.shape[1:], array.dtype) for array in arrays}) != 1:
        raise DataError(f"{origin} gives {name!r} in different shapes or types", remedy="pad to one shape")
    return np.concatenate(arrays)


def _load(path: Path, name: str) -> Callable[[], Any]:
    if not path.is_file():
        raise DataError(f"{path} is not a file", remedy="give file.py:function")
    try:
        module = run_file(path, "samples")
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        raise DataError(
            f"{path} failed: {type(error).__name__}: {error}", remedy="run it by itself"
        ) from error
    if module is None:
        raise DataError(f"{path} is not a Python file", remedy="give file.py:function")
    function = getattr(module, name, None)
    if not callable(function):
        raise DataError(f"{path} has no function {name!r}", remedy="give file.py:function")
    checked: Callable[[], Any] = function
    return checked
