"""What every consumer reads, collected when it is asked for, so that no more is held than a stretch of the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import Runner
from ...calib_data.visits import fit_together
from ..coupling import Coupling
from .consumers import Consumer
from .holdout import split_off
from .statistics import InputStatistics, Tap, summarise, supposed, tap_inputs

HELD_BYTES = 512 << 20
"""Statistics that are held at once. A graph whose statistics need more is run once for each stretch of it."""


class Observations(Mapping[Consumer, InputStatistics]):
    """Statistics by consumer, in the order of the graph.

    What a body computes for itself (in an If, a Loop, a Scan) cannot be observed. A consumer of it is supposed to read
    inputs that are alike and know nothing of each other: its weights alone say then what a neuron is worth to it, and
    a repair finds nothing to fold.

    Args:
        model: The graph; later changes to its weights are not seen.
        coupling: Its analysis.
        consumers: Who reads what.
        data: The samples.
        runner: Executes the graph.
        seed: Seed of the choice of positions where there are many.
        with_moments: Whether statistics of each input by itself are wanted too.
        held_bytes: How much to hold at once; the statistics of one consumer are held whatever they need.
    """

    def __init__(
        self,
        model: ir.Model,
        coupling: Coupling,
        consumers: list[Consumer],
        data: CalibrationData,
        runner: Runner | None,
        seed: int,
        *,
        with_moments: bool = False,
        held_bytes: int = HELD_BYTES,
    ) -> None:
        self._model = model.clone()
        self._coupling = coupling
        self._parts = split_off(data, seed, most=None)
        self._runner = runner
        self._seed = seed
        self._with_moments = with_moments
        self._stretches = fit_together({c: _bytes_of(c, coupling) for c in consumers}, held_bytes)
        self._place = {c: i for i, stretch in enumerate(self._stretches) for c in stretch}
        self._held: dict[Consumer, InputStatistics] = {}

    def __getitem__(self, consumer: Consumer) -> InputStatistics:
        """The statistics of a consumer; collected now where another stretch is held.

        Raises:
            DataError: A batch or a value is not finite.
        """
        if consumer not in self._held:
            stretch = self._stretches[self._place[consumer]]
            self._held = {}
            self._held = self._collect(stretch)
        return self._held[consumer]

    def __iter__(self) -> Iterator[Consumer]:
        """Every consumer, without collecting anything."""
        return iter(self._place)

    def __len__(self) -> int:
        """How many consumers there are."""
        return len(self._place)

    def _collect(self, consumers: list[Consumer]) -> dict[Consumer, InputStatistics]:
        observed = [c for c in consumers if c.is_observable(self._coupling)]
        first, second = self._parts
        seen: list[dict[tuple[str, int], Tap]] = [
            tap_inputs(
                self._model,
                self._coupling,
                observed,
                part,
                self._runner,
                self._seed,
                with_moments=self._with_moments,
            )
            for part in ((first, second) if first is not second else (first,))
        ]
        random = np.random.default_rng(self._seed)
        found = {c: supposed(len(c.labels(self._coupling))) for c in consumers if c not in observed}
        for consumer in observed:
            found[consumer] = summarise(consumer, [taps[consumer.place] for taps in seen], random)
        return found


def _bytes_of(consumer: Consumer, coupling: Coupling) -> int:
    """Two taps, one for each part of the samples, and what is made of both."""
    return 3 * 8 * len(consumer.labels(coupling)) ** 2 * consumer.contraction.blocks
