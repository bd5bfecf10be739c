"""What a layer reads and writes at some positions, over samples: rows to learn from, chosen by a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import Runner
from ...core.tensors import Array
from ..patches import patches
from .linear_layers import LinearLayer

MOST = 2048
"""Positions taken from one batch."""

BATCH = 64
"""Samples in a batch."""

Places = tuple[npt.NDArray[np.int64], ...]
"""Positions along the output's axes other than the channels, each of shape ``(rows,)``."""


@dataclass(frozen=True)
class Picked:
    """One batch.

    Attributes:
        features: What the layer reads, shape ``(rows, blocks, features)``; empty where it was not asked for.
        made: What it makes, shape ``(rows, channels)``.
        places: Where.
        values: All values that were asked for, by name.
    """

    features: npt.NDArray[np.float32]
    made: npt.NDArray[np.float64]
    places: Places
    values: dict[str, Array]


@dataclass(frozen=True)
class PickedRows:
    """Runs a graph and picks positions of one layer; the same seed picks the same.

    Attributes:
        seed: Seed of the choice.
        with_features: Whether to gather what the layer reads.
    """

    seed: int
    with_features: bool = True

    def of(
        self,
        model: ir.Model,
        layer: LinearLayer,
        data: CalibrationData,
        runner: Runner,
        also: tuple[str, ...] = (),
    ) -> Iterator[Picked]:
        """Batch by batch.

        Args:
            model: The graph that holds the layer.
            layer: The layer.
            data: The samples.
            runner: Executes the graph.
            also: Names of further values.
        """
        random = np.random.default_rng(self.seed)
        read, made = layer.node.inputs[0], layer.node.outputs[0].name or ""
        source = "" if read is None else read.name or ""
        feeds = list(data.batches(BATCH))
        inside = [source] if source not in feeds[0] and self.with_features else []
        names = list(dict.fromkeys([*inside, made, *also]))
        for feed, values in zip(feeds, runner.run(model, feeds, names, optimize=True), strict=True):
            places = choose_places(values[made].shape, layer.channel_axis, random)
            features = np.zeros((0, 1, 0), np.float32)
            if self.with_features:
                features = layer_rows(layer, values[source] if source in values else feed[source], places)
            yield Picked(features, rows_at(values[made], layer.channel_axis, places), places, values)


def layer_rows(layer: LinearLayer, array: Array, places: Places) -> npt.NDArray[np.float32]:
    """What a layer reads for some of its outputs, shape ``(rows, blocks, features)``."""
    if layer.window is None:
        return array[places][:, None, :].astype(np.float32)
    return patches(array, layer.window, places)


def rows_at(array: Array, axis: int, places: Places) -> npt.NDArray[np.float64]:
    """The channels at some positions, shape ``(rows, channels)``."""
    return np.moveaxis(array, axis, -1)[places].astype(np.float64)


def choose_places(shape: tuple[int, ...], axis: int, random: np.random.Generator) -> Places:
    """Positions of an output along all axes but that of its channels: all, or :data:`MOST` of them."""
    axis %= len(shape)
    sizes = shape[:axis] + shape[axis + 1 :]
    count = int(np.prod(sizes))
    chosen = np.arange(count) if count <= MOST else np.sort(random.choice(count, MOST, replace=False))
    return tuple(np.asarray(part, dtype=np.int64) for part in np.unravel_index(chosen, sizes))
