"""Batches of a given size for a model, from samples or made up."""

from __future__ import annotations

import numpy as np

from ..calib_data.data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import DataError
from ..core.tensors import Array, Feed, TensorSpec


def fixed_batch(model: ModelArtifact, data: CalibrationData | None) -> int | None:
    """The batch size that a model insists on, or None where it takes any.

    Args:
        model: The model.
        data: The samples, which may be whole feeds that are run one by one; None where feeds are made up.

    Raises:
        DataError: The samples do not fit the model.
    """
    if data is not None:
        return data.for_model(model.inputs).fixed_batch
    fixed = {spec.shape[0] for spec in model.inputs if spec.shape and isinstance(spec.shape[0], int)}
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
    """
    if data is None:
        random = np.random.default_rng(seed)
        return {spec.name: _made_up(spec, batch, random) for spec in model.inputs}
    bound = data.for_model(model.inputs)
    indices = [bound.indices[i % len(bound.indices)] for i in range(batch)]
    return bound.source.read(indices)


def _made_up(spec: TensorSpec, batch: int, random: np.random.Generator) -> Array:
    """Normal numbers, or zeros for a type that may be an index."""
    dims = () if spec.shape is None else spec.shape
    if spec.shape is None or any(not isinstance(d, int) for d in dims[1:]):
        raise DataError(f"input {spec} has a free shape", remedy="give samples with --data")
    shape = tuple(d if isinstance(d, int) else batch for d in dims)
    if spec.dtype.kind == "f":
        return random.standard_normal(shape).astype(spec.dtype)
    return np.zeros(shape, spec.dtype)
