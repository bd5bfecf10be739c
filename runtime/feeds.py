"""Batches of a given size for a model, from samples or made up."""

from __future__ import annotations

import math

import numpy as np

from ..calib_data.data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import DataError
from ..core.limits import current_limits, refuse_above
from ..core.tensors import Array, Feed, TensorSpec

_DRAWN_BYTES = 8
"""Bytes of one random number before it gets the type of the input."""


def fixed_batch(model: ModelArtifact, data: CalibrationData | None) -> int | None:
    """The batch size that a model insists on, or None where it takes any.

    Args:
        model: The model.
        data: The samples, which may be whole feeds that are run one by one; None where feeds are made up.

    Raises:
        DataError: The samples do not fit the model, or it takes none.
    """
    if data is not None:
        return data.for_model(model.inputs).fixed_batch
    fixed = {spec.shape[0] for spec in model.inputs if spec.shape and isinstance(spec.shape[0], int)}
    if fixed == {0}:
        raise DataError(
            f"{model.name} takes batches of no samples: there is nothing to measure",
            remedy="export it with a batch above 0, or a free one",
        )
    return None if not fixed else min(fixed) if len(fixed) == 1 else 1


def feed_of(model: ModelArtifact, data: CalibrationData | None, batch: int, *, seed: int = 0) -> Feed:
    """One batch of exactly this size; samples are repeated where there are too few.

    Args:
        model: The model.
        data: The samples; made up from the model's inputs where None.
        batch: Samples in the batch.
        seed: Seed of what is made up.

    Raises:
        DataError: The samples do not fit the model, or an input has a free dimension besides the batch.
        LimitError: The batch would take too much memory.
    """
    if data is None:
        shapes = {spec.name: _made_up_shape(spec, batch) for spec in model.inputs}
        _refuse_large(sum(math.prod(shape) for shape in shapes.values()) * _DRAWN_BYTES)
        random = np.random.default_rng(seed)
        return {spec.name: _made_up(spec, shapes[spec.name], random) for spec in model.inputs}
    bound = data.for_model(model.inputs)
    _refuse_large(batch * sum(array.nbytes for array in bound.source.read(bound.indices[:1]).values()))
    indices = [bound.indices[i % len(bound.indices)] for i in range(batch)]
    return bound.source.read(indices)


def _refuse_large(size: int) -> None:
    refuse_above(size, current_limits().array_bytes, "bytes of a batch", "array_bytes")


def _made_up_shape(spec: TensorSpec, batch: int) -> tuple[int, ...]:
    dims = () if spec.shape is None else spec.shape
    if spec.shape is None or any(not isinstance(d, int) for d in dims[1:]):
        raise DataError(f"input {spec} has a free shape", remedy="give samples with --data")
    return tuple(d if isinstance(d, int) else batch for d in dims)


def _made_up(spec: TensorSpec, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Normal numbers, or zeros for a type that may be an index."""
    if spec.dtype.kind == "f":
        return random.standard_normal(shape).astype(spec.dtype)
    return np.zeros(shape, spec.dtype)
