"""Refusing values that are not finite."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import DataError
from ..core.tensors import Array


def check_finite(array: Array, name: str, batch: int) -> None:
    """Refuse a value that is not finite.

    Args:
        array: The value on one batch.
        name: Its name.
        batch: Index of the batch.

    Raises:
        DataError: Naming the value and the batch.
    """
    if is_float(array.dtype) and not np.isfinite(array).all():
        raise DataError(
            f"batch {batch}: {name} holds NaN or infinity",
            remedy="remove that batch, or check the preprocessing and the model's weights",
        )


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether elements can be NaN; the 16-bit and 8-bit types of ``ml_dtypes`` are of numpy's kind ``V``."""
    return dtype.kind in "fc" or "float" in dtype.name
