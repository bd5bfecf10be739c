"""Refusing values that are not finite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.errors import DataError
from ..core.tensors import Array


def check_finite(array: Array, name: str, batch: int, samples: Sequence[int] = ()) -> None:
    """Refuse a value that is not finite.

    Args:
        array: The value on one batch.
        name: Its name.
        batch: Index of the batch.
        samples: Where each sample of the batch stands in what was given: a batch may be of a choice of them.

    Raises:
        DataError: Naming the value, the batch, and the sample where that is known.
    """
    if is_float(array.dtype) and not np.isfinite(array).all():
        raise DataError(
            f"batch {batch}: {name} holds NaN or infinity{_first(array, samples)}",
            remedy="leave that out, or check the preprocessing and the model's weights",
        )


def _first(array: Array, samples: Sequence[int]) -> str:
    """The first sample that is not finite, in words; nothing where samples do not lie along axis 0."""
    if not array.ndim or len(array) != len(samples):
        return ""
    index = next(i for i, part in enumerate(array) if not np.isfinite(part).all())
    return f" in sample {samples[index]}"


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether elements can be NaN; the 16-bit and 8-bit types of ``ml_dtypes`` are of numpy's kind ``V``."""
    return dtype.kind in "fc" or "float" in dtype.name
