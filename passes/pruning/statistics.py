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
from ..coupling import Coupling
from .consumers import Consumer

Matrix = npt.NDArray[np.float64]

_ROWS = 1024
"""Positions taken from one batch of 64 samples: thousands of vectors a channel over a thousand samples."""


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
class InputStatistics:
    """Statistics of what one consumer reads.

    Attributes:
        second: ``E[x xᵀ]``, shape ``(inputs, inputs)``.
        mean: ``E[x]``, shape ``(inputs,)``.
        moments: Statistics of each input by itself; None where nobody asked for them.
        count: Number of vectors seen.
    """

    second: Matrix
    mean: npt.NDArray[np.float64]
    moments: Moments | None
    count: int

    @property
    def covariance(self) -> Matrix:
        """``E[x xᵀ] - μ μᵀ``, shape ``(inputs, inputs)``."""
        return self.second - np.outer(self.mean, self.mean)


def collect_inputs(
    model: ir.Model,
    coupling: Coupling,
    consumers: list[Consumer],
    data: CalibrationData,
    runner: Runner | None,
    seed: int,
    *,
    with_moments: bool = False,
) -> dict[Consumer, InputStatistics]:
    """Run the samples once and summarise what each consumer reads.

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
    taps: dict[tuple[str, int], tuple[observers.Gram, observers.Moments | None]] = {}
    for consumer in consumers:
        place = (consumer.contraction.value.name or "", consumer.contraction.axis)
        if place not in taps:
            width = len(consumer.labels(coupling)) * consumer.contraction.blocks
            rows = max(_ROWS, width)
            own = observers.Moments(place[1]) if with_moments else None
            taps[place] = (observers.Gram(place[1], rows=rows, seed=seed), own)
    watching: dict[str, list[observers.Gram | observers.Moments]] = {}
    for (name, _), pair in taps.items():
        watching.setdefault(name, []).extend(o for o in pair if o is not None)
    collect(model, data, watching, runner=runner, batch_size=64)
    result = {}
    for consumer in consumers:
        gram, moments = taps[(consumer.contraction.value.name or "", consumer.contraction.axis)]
        part = _block(consumer, len(gram.mean))
        result[consumer] = InputStatistics(
            gram.second_moment[part, part],
            gram.mean[part],
            None if moments is None else Moments(moments.mean_absolute[part], moments.zero_share[part]),
            gram.count,
        )
    return result


def refuse_non_finite(model: ir.Model) -> None:
    """Refuse weights that are not finite.

    Raises:
        ModelError: Naming the initializer.
    """
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if tensor is None or not tensor.dtype.is_floating_point():
            continue
        if not np.isfinite(np.asarray(tensor.numpy(), dtype=np.float32)).all():
            raise ModelError(
                f"initializer {name} holds NaN or infinity",
                remedy="export the model again from sound weights",
            )


def _block(consumer: Consumer, width: int) -> slice:
    size = width // consumer.contraction.blocks
    return slice(consumer.block * size, (consumer.block + 1) * size)
