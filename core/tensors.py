"""Names, types and shapes of the tensors that enter and leave a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from .errors import ModelError

Array: TypeAlias = npt.NDArray[Any]
"""Any numpy array."""

Feed: TypeAlias = dict[str, Array]
"""One batch: an array for each input name, batched on axis 0."""

PART_ELEMENTS = 1 << 22
"""What is made of a weight on the way to something else is made of so many of its elements at a time."""


@dataclass(frozen=True)
class TensorSpec:
    """What a model says of one of its inputs or outputs.

    Attributes:
        name: Its name.
        dtype: Its numpy type.
        shape: A number for a fixed dimension, a name or None for a free one; None where the rank is unknown.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...] | None

    @classmethod
    def of(cls, value: ir.Value) -> TensorSpec:
        """Read the specification of a graph input or output.

        Raises:
            ModelError: The value declares no element type.
        """
        shape = None
        if value.shape is not None:
            shape = tuple(d if isinstance(d, int) else d.value for d in value.shape)
        if value.dtype in {None, ir.DataType.UNDEFINED}:
            raise ModelError(f"value {value.name!r} has no element type", remedy="export the model again")
        return cls(value.name or "", value.dtype.numpy(), shape)

    def __str__(self) -> str:
        dims = "?" if self.shape is None else "x".join("?" if d is None else str(d) for d in self.shape)
        return f"{self.name}: {self.dtype} {dims}"


def input_specs(model: ir.Model) -> tuple[TensorSpec, ...]:
    """The inputs that a caller must feed (initializers listed as inputs are left out)."""
    return tuple(TensorSpec.of(v) for v in model.graph.inputs if not v.is_initializer())


def output_specs(model: ir.Model) -> tuple[TensorSpec, ...]:
    """The outputs of a model."""
    return tuple(TensorSpec.of(v) for v in model.graph.outputs)


def all_finite(array: Array, dtype: npt.DTypeLike | None = None) -> bool:
    """Whether no element is NaN or infinite; of a large array a part at a time is looked at.

    Args:
        array: The array.
        dtype: The type that elements are converted to first; none where None.
    """
    step = max(1, PART_ELEMENTS * len(array) // max(array.size, 1)) if array.ndim else 1
    parts = (array[i : i + step] for i in range(0, len(array), step)) if array.ndim else (array,)
    return all(np.isfinite(np.asarray(part, dtype)).all() for part in parts)
