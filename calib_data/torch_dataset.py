"""Samples from a torch data set."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import DataError, MissingExtraError
from ..core.tensors import Array
from .data import CalibrationData
from .feeds import from_feeds

if TYPE_CHECKING:
    from torch.utils.data import Dataset


def from_torch(
    dataset: Dataset[Any],
    *,
    limit: int | None = None,
    seed: int = 0,
    name: str = "input",
    memory_bytes: int | None = None,
) -> CalibrationData:
    """Take samples of a torch data set into memory.

    Args:
        dataset: Its items are a tensor, a pair of a tensor and a label, or a dictionary of tensors (``labels``
            among them is the label).
        limit: Take a seeded choice of so many; of a data set without a length, the first so many.
        seed: Seed of the choice.
        name: Name of the input, for items without names.
        memory_bytes: The most that the samples may take.

    Raises:
        MissingExtraError: torch is not installed.
        DataError: An item is of another kind, or there is none.
        LimitError: The samples take more than ``memory_bytes``.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "torch") from error
    with torch.no_grad():
        items = (_as_feed(item, name) for item in _items(dataset, limit, seed))
        return from_feeds(items, type(dataset).__name__, memory_bytes=memory_bytes)


def is_torch_dataset(value: object) -> bool:
    """Whether a value is a torch data set; torch is not imported for the answer."""
    data = sys.modules.get("torch.utils.data")
    return data is not None and isinstance(value, data.Dataset)


def _items(dataset: Any, limit: int | None, seed: int) -> Iterator[Any]:
    """Items by index where the data set has a length, in order of iteration where it has none."""
    if not hasattr(dataset, "__len__"):
        yield from itertools.islice(dataset, limit)
        return
    count = len(dataset)
    if limit is None or limit >= count:
        chosen = range(count)
    else:
        chosen = np.sort(np.random.default_rng(seed).choice(count, limit, replace=False)).tolist()
    for index in chosen:
        yield dataset[index]


def _as_feed(item: Any, name: str) -> dict[str, Array]:
    """One item as a batch of one."""
    if isinstance(item, Mapping):
        return {str(key): _as_array(value)[None] for key, value in item.items()}
    if isinstance(item, (tuple, list)):
        if len(item) != 2:
            raise DataError(
                f"items hold {len(item)} parts, not a sample and its label", remedy="give dictionaries"
            )
        return {name: _as_array(item[0])[None], "labels": _as_array(item[1])[None]}
    return {name: _as_array(item)[None]}


def _as_array(value: Any) -> Array:
    array = value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
    if array.dtype.hasobject:
        raise DataError(
            f"an item holds a {type(value).__name__}, not a tensor", remedy="convert it to a tensor first"
        )
    return np.asarray(array)
