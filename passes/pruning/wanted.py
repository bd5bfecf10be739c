"""What the original gives where the layers of a cut graph are looked at: many layers in one run of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import Runner
from .linear_layers import LinearLayer
from .positions import BATCH, MOST, choose_places, rows_at

Kept = Mapping[ir.Node, npt.NDArray[np.int64]]

_BYTES = 256 << 20
"""What the rows of a stretch of layers may take."""


class WantedRows:
    """The original's rows for every layer, in the order of the graph; each is given once.

    The graph under correction changes from layer to layer and has to be run for each; the original does not.

    Args:
        original: The graph before any cut.
        layers: The layers of the cut graph, in its order.
        kept: Which channels of the original a layer has left; all of them where it is not in it.
        data: The samples.
        runner: Executes the original.
        seed: Seed of the choice of positions, as for :class:`~sardonyx.passes.pruning.positions.PickedRows`.
    """

    def __init__(
        self,
        original: ir.Model,
        layers: Sequence[LinearLayer],
        kept: Kept,
        data: CalibrationData,
        runner: Runner,
        seed: int,
    ) -> None:
        self.original = original
        self.layers = list(layers)
        self.kept = kept
        self.data = data
        self.runner = runner
        self.seed = seed
        self._held: dict[ir.Node, list[npt.NDArray[np.float32]]] = {}

    def of(self, layer: LinearLayer) -> list[npt.NDArray[np.float32]]:
        """What a layer's outputs should be, or the sum behind it, for each batch, shape ``(rows, channels)``."""
        if layer.node not in self._held:
            self._held = self._collect(self._stretch(layer))
        return self._held.pop(layer.node)

    def _stretch(self, first: LinearLayer) -> list[LinearLayer]:
        """A layer and those behind it whose rows fit beside its own."""
        places = [layer.node for layer in self.layers]
        batches = -(-len(self.data) // BATCH)
        taken: list[LinearLayer] = []
        left = _BYTES
        for layer in self.layers[places.index(first.node) :]:
            left -= 4 * MOST * batches * layer.outputs
            if taken and left < 0:
                break
            taken.append(layer)
        return taken

    def _collect(self, layers: list[LinearLayer]) -> dict[ir.Node, list[npt.NDArray[np.float32]]]:
        found: dict[ir.Node, list[npt.NDArray[np.float32]]] = {layer.node: [] for layer in layers}
        randoms = {layer.node: np.random.default_rng(self.seed) for layer in layers}
        names = list(dict.fromkeys(layer.wanted for layer in layers))
        for values in self.runner.run(self.original, list(self.data.batches(BATCH)), names, optimize=True):
            for layer in layers:
                array, axis = values[layer.wanted], layer.channel_axis
                rows = rows_at(array, axis, choose_places(array.shape, axis, randoms[layer.node]))
                kept = self.kept.get(layer.node)
                found[layer.node].append((rows if kept is None else rows[:, kept]).astype(np.float32))
        return found
