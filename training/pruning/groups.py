"""Neurons as places in parameters: plain data that comes from an analysis of the graph, and goes back to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ...core.errors import UsageError

SliceRole = Literal["makes", "normalized", "reads"]


@dataclass(frozen=True, eq=False)
class Slice:
    """What neurons take from one axis of one parameter.

    Attributes:
        parameter: The parameter's name in the module.
        axis: Its axis.
        indices: Which indices of the axis each neuron takes, shape ``(neurons, indices of one)``.
        role: ``makes`` for what computes the neuron (weights, bias, normalisation), ``reads`` for what sums over it;
            ``normalized`` for weights that make it and are followed by normalisation, so that their size says nothing.
    """

    parameter: str
    axis: int
    indices: npt.NDArray[np.int64]
    role: SliceRole

    def __post_init__(self) -> None:
        if self.indices.ndim != 2 or not self.indices.size or int(self.indices.min()) < 0 or self.axis < 0:
            raise UsageError(
                f"axis {self.axis} of {self.parameter}: indices of shape {self.indices.shape}",
                remedy="give a row of indices from 0 on for each neuron, and count axes from the front",
            )


@dataclass(frozen=True, eq=False)
class NeuronGroup:
    """Neurons that go the same way through a network, each of which can go alone.

    Attributes:
        name: What to call them.
        width: How many.
        slices: Everything that goes with them.
    """

    name: str
    width: int
    slices: tuple[Slice, ...]

    def __post_init__(self) -> None:
        if self.width < 1 or not self.slices:
            raise UsageError(
                f"group {self.name} is empty", remedy="give at least one neuron and one parameter"
            )
        for part in self.slices:
            if len(part.indices) != self.width:
                raise UsageError(
                    f"group {self.name} has {self.width} neurons, and {part.parameter} has rows for {len(part.indices)}",
                    remedy="give a row of indices for each neuron",
                )

    @property
    def telling(self) -> tuple[Slice, ...]:
        """The slices whose size says how much a neuron does."""
        return tuple(part for part in self.slices if part.role != "normalized") or self.slices


@dataclass(frozen=True)
class Vanished:
    """The neurons of a group that training has made zero.

    Attributes:
        group: The group's name.
        width: Its neurons before.
        neurons: Positions of those that can go, rising; fewer than ``width``.
    """

    group: str
    width: int
    neurons: tuple[int, ...]
