"""What pruning needs to know of the activations, collected in one run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...calib_data import observers
from ...calib_data.collector import collect
from ...calib_data.data import CalibrationData
from ...calib_data.runner import Runner
from ...core.errors import ModelError
from ...core.tensors import all_finite
from ..constants import all_initializers, is_mask
from ..coupling import Coupling
from .consumers import Consumer
from .shrinkage import UNTESTED, best_ridge

Matrix = npt.NDArray[np.float64]

_ROWS = 1024
"""Positions taken from one batch of 64 samples: thousands of vectors a channel over a thousand samples."""


_BATCH_BYTES = 256 << 20
"""Values of one batch that are held at once."""


@dataclass(frozen=True)
class Moments:
    """Statistics of each input by itself.

    Attributes:
        mean_absolute: ``E|x|``, shape ``(inputs,)``.
        zero_share: Share of the elements that are not above zero, shape ``(inputs,)``.
    """

    mean_absolute: npt.NDArray[np.float64]
    zero_share: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tap:
    """What watches one value."""

    gram: observers.Gram
    moments: observers.Moments | None


@dataclass(frozen=True)
class InputStatistics:
    """Statistics of what one consumer reads.

    Attributes:
        second: ``E[x xᵀ]``, shape ``(inputs, inputs)``.
        mean: ``E[x]``, shape ``(inputs,)``.
        moments: Statistics of each input by itself; None where nobody asked for them.
        count: Number of vectors seen; 0 where none can be, and the statistics are supposed.
        ridge: How far a regression on them is to be shrunk, as a share of their mean diagonal.
    """

    second: Matrix
    mean: npt.NDArray[np.float64]
    moments: Moments | None
    count: int
    ridge: float = UNTESTED

    @property
    def covariance(self) -> Matrix:
        """``E[x xᵀ] - μ μᵀ``, shape ``(inputs, inputs)``."""
        return self.second - np.outer(self.mean, self.mean)


def tap_inputs(
    model: ir.Model,
    coupling: Coupling,
    consumers: list[Consumer],
    data: CalibrationData,
    runner: Runner | None,
    seed: int,
    *,
    with_moments: bool,
) -> dict[tuple[str, int], Tap]:
    """Run samples, and observe each value that a consumer reads once.

    Args:
        model: The graph.
        coupling: Its analysis.
        consumers: Who reads what.
        data: The samples.
        runner: Executes the graph.
        seed: Seed of the choice of positions where there are many.
        with_moments: Whether statistics of each input by itself are wanted too.

    Raises:
        DataError: A batch or a value is not finite.
    """
    taps: dict[tuple[str, int], Tap] = {}
    for consumer in consumers:
        axis = consumer.place[1]
        if consumer.place not in taps:
            rows = max(_ROWS, len(consumer.labels(coupling)) * consumer.contraction.blocks)
            own = observers.Moments(axis) if with_moments else None
            taps[consumer.place] = Tap(observers.Gram(axis, rows=rows, seed=seed), own)
    watching: dict[str, list[observers.Observer]] = {}
    for (name, _), tap in taps.items():
        watching.setdefault(name, []).extend(o for o in (tap.gram, tap.moments) if o is not None)
    kept = sum(8 * len(c.labels(coupling)) ** 2 * c.contraction.blocks**2 for c in consumers)
    collect(model, data, watching, runner=runner, batch_size=64, memory_bytes=_BATCH_BYTES + 2 * kept)
    return taps


def summarise(consumer: Consumer, taps: list[Tap], random: np.random.Generator) -> InputStatistics:
    """The statistics of all parts together.

    Args:
        consumer: Who reads.
        taps: What was seen in each part; where there are two, a ridge is fitted on the first, and the second judges.
        random: Chooses the inputs of the trial.
    """
    part = _block(consumer, len(taps[0].gram.mean))
    total = sum(tap.gram.count for tap in taps)
    grams = [tap.gram.second_moment[part, part] for tap in taps]
    shares = [tap.gram.count / total for tap in taps]
    ridge = UNTESTED
    if len(grams) > 1:
        ridge = best_ridge(grams[0], grams[1], consumer.matrix(), random)
    own = [tap.moments for tap in taps if tap.moments is not None]
    moments = None
    if own:
        moments = Moments(
            _average(shares, [m.mean_absolute[part] for m in own]),
            _average(shares, [m.zero_share[part] for m in own]),
        )
    means = [tap.gram.mean[part] for tap in taps]
    return InputStatistics(_average(shares, grams), _average(shares, means), moments, total, ridge)


def merged(parts: list[InputStatistics]) -> InputStatistics:
    """The statistics of several values that meet the same weights, as if they were one; each counts by its vectors."""
    if len(parts) == 1:
        return parts[0]
    total = max(sum(part.count for part in parts), 1)
    shares = [part.count / total for part in parts]
    return InputStatistics(
        _average(shares, [part.second for part in parts]),
        _average(shares, [part.mean for part in parts]),
        None,
        sum(part.count for part in parts),
        max(part.ridge for part in parts),
    )


def _average(shares: list[float], arrays: list[Matrix]) -> Matrix:
    total = np.zeros_like(arrays[0])
    for share, array in zip(shares, arrays, strict=True):
        total += share * array
    return total


def refuse_non_finite(model: ir.Model) -> None:
    """Refuse weights that are not finite; the infinities of a mask or of a bound are meant.

    Raises:
        ModelError: Naming the initializer.
    """
    for value in all_initializers(model.graph):
        tensor = value.const_value
        if tensor is None or not tensor.dtype.is_floating_point():
            continue
        array = tensor.numpy()
        if not (all_finite(array, np.float32) or is_mask(np.asarray(array, np.float32))):
            raise ModelError(
                f"initializer {value.name} holds NaN or infinity",
                remedy="export the model again from sound weights",
            )


def supposed(width: int) -> InputStatistics:
    """White inputs: of equal energy, and without correlation."""
    ones = np.ones(width)
    return InputStatistics(np.eye(width), np.zeros(width), Moments(ones, np.zeros(width)), 0)


def _block(consumer: Consumer, width: int) -> slice:
    size = width // consumer.contraction.blocks
    return slice(consumer.block * size, (consumer.block + 1) * size)
