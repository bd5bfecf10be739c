"""The last repair: each layer is fitted anew, so that its outputs come back to those of the original.

The repair after a cut looks at one layer's inputs at a time, and small errors add up along the network. Here, layer by
layer in the order of the graph, the original's outputs are regressed on what the cut layer reads, which has been
corrected already (He, Zhang & Sun, Channel Pruning, 2017, §3.2, for the asymmetric reconstruction). Where a residual
sum follows, the layer takes up what the other branch lacks too. With few samples a map of the outputs alone may do
better than new weights: both are tried, and what samples held out from the regression like best is taken, or nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import Runner
from .holdout import split_off
from .linear_layers import LinearLayer, linear_layers
from .normalization import reestimate
from .positions import Picked, PickedRows, rows_at
from .regression import Fit, Moments, best_fit
from .wanted import WantedRows

Alive = Mapping[tuple[ir.Value, int], npt.NDArray[np.int64]]
"""For an axis of an initializer, which of its indices at first are left."""

MOST_FEATURES = 2304
"""A layer with more inputs for one output gets a map of its outputs only: 256 channels under a kernel of 3 x 3."""

_NEGLIGIBLE = 1e-9
"""An error that rounding cannot tell from none."""


@dataclass(frozen=True)
class CorrectionGain:
    """What correcting one layer gave.

    Attributes:
        node: The layer.
        error_before: Difference from the original's outputs on held-out samples, as a share of their variance.
        error_after: The same after the correction.
    """

    node: str
    error_before: float
    error_after: float


def correct_outputs(
    model: ir.Model,
    original: ir.Model,
    alive: Alive,
    data: CalibrationData,
    runner: Runner,
    *,
    seed: int = 0,
    nodes: Collection[ir.Node] | None = None,
) -> list[CorrectionGain]:
    """Correct every linear layer of a cut graph.

    Args:
        model: The cut graph; its weights and biases are changed in place.
        original: The graph before any cut.
        alive: Which channels are left.
        data: The samples; a quarter of them judges.
        runner: Executes both graphs.
        seed: Seed of the choice of samples and positions.
        nodes: The nodes that may have to be corrected; all of the graph where None.

    Returns:
        What it gave, for each layer that was corrected.
    """
    whole = {v.name or "": v for node in original.graph for v in node.outputs}
    parts = split_off(data, seed)
    layers = {
        layer.node: layer
        for layer in linear_layers(model, whole.keys())
        if (nodes is None or layer.node in nodes) and _has_its_places(layer.node, layer.channel_axis, whole)
    }
    kept = {
        node: alive[layer.weight, layer.out_axis]
        for node, layer in layers.items()
        if (layer.weight, layer.out_axis) in alive
    }
    wanted = [WantedRows(original, list(layers.values()), kept, part, runner, seed) for part in parts]
    gains = []
    for node in list(model.graph) if nodes is None else nodes:
        if node in layers:
            gains.append(_fit(layers[node], model, wanted, seed))
        elif node.op_type == "BatchNormalization" and _has_its_places(node, 1, whole):
            errors = reestimate(node, model, original, alive, parts, runner)
            gains.append(None if errors is None else CorrectionGain(node.name or "", *errors))
    return [gain for gain in gains if gain is not None]


def _has_its_places(node: ir.Node, axis: int, whole: Mapping[str, ir.Value]) -> bool:
    """Whether a node's output has the rows that it had, of fewer channels perhaps, so that both can be compared."""
    output = node.outputs[0]
    before = whole.get(output.name or "")
    if before is None or output.shape is None or before.shape is None:
        return before is not None
    sizes, others = list(output.shape), list(before.shape)
    if len(sizes) != len(others) or len(sizes) < 2:
        return False
    sizes[axis] = others[axis]
    pairs = zip(sizes, others, strict=True)
    return all(a == b for a, b in pairs if isinstance(a, int) and isinstance(b, int))


def _fit(
    layer: LinearLayer,
    model: ir.Model,
    wanted: Sequence[WantedRows],
    seed: int,
) -> CorrectionGain | None:
    """Look at one layer in both graphs, and correct it."""
    fit, judge = _Seen(layer), _Seen(layer)
    for seen, rows in zip((fit, judge), wanted, strict=True):
        _collect(seen, model, rows, seed)
    return _correct(layer, fit, judge)


class _Seen:
    """Moments of one layer over some samples: of what it reads, and of its own outputs, against the wanted ones."""

    def __init__(self, layer: LinearLayer) -> None:
        self.layer = layer
        self.inputs = Moments() if layer.features <= MOST_FEATURES else None
        self.outputs = Moments()

    def update(self, picked: Picked, wanted: npt.NDArray[np.float64]) -> None:
        """Take a batch in, with what the outputs should be at its positions, shape ``(rows, channels)``."""
        bias = self.layer.bias_within()
        made, wanted = picked.made - bias, wanted - bias
        if self.inputs is not None:
            targets = wanted.reshape(len(wanted), self.layer.blocks, -1)
            self.inputs.update(picked.features, targets.astype(np.float32))
        # The outputs of a grouped layer do not mix: each is mapped by itself.
        parts = 1 if self.layer.blocks == 1 else made.shape[1]
        self.outputs.update(*(a.reshape(len(a), parts, -1).astype(np.float32) for a in (made, wanted)))


def _collect(
    seen: _Seen,
    model: ir.Model,
    wanted: WantedRows,
    seed: int,
) -> None:
    """Run the cut graph on the samples that the original was run on, and look at the same positions of both."""
    layer = seen.layer
    # The original's output is wanted; behind a residual sum, what brings the sum to the original's.
    cuts = PickedRows(seed, with_features=seen.inputs is not None).of(
        model, layer, wanted.data, wanted.runner, (layer.wanted,)
    )
    for cut, whole in zip(cuts, wanted.of(layer), strict=True):
        rows = whole.astype(np.float64)
        if layer.sum_behind:
            rows = rows - rows_at(cut.values[layer.wanted], layer.channel_axis, cut.places) + cut.made
        seen.update(cut, rows)


def _correct(layer: LinearLayer, fit: _Seen, judge: _Seen) -> CorrectionGain | None:
    """Take what the held-out moments like best; None where no correction is better than none."""
    start = layer.matrix()
    channels = start.shape[0] * start.shape[2]
    parts = 1 if layer.blocks == 1 else channels
    identity = np.repeat(np.eye(channels // parts)[None], parts, axis=0)
    about_mean = layer.bias is not None
    rows, others = (s.outputs.centred(about_mean=about_mean) for s in (fit, judge))
    before = others.error(identity, np.zeros((parts, channels // parts)))
    if before < _NEGLIGIBLE:
        return None
    mapped = best_fit(rows, others, identity)
    best, weights = mapped, _mapped(start, mapped)
    if fit.inputs is not None and judge.inputs is not None:
        rows, others = (s.centred(about_mean=about_mean) for s in (fit.inputs, judge.inputs))
        anew = best_fit(rows, others, start)
        if anew.error < best.error:
            best, weights = anew, anew.weights
    if best.error >= before:
        return None
    layer.replace(weights, best.shift.ravel())
    return CorrectionGain(layer.node.name or "", before, best.error)


def _mapped(start: npt.NDArray[np.float64], fit: Fit) -> npt.NDArray[np.float64]:
    """The weights after a map of the outputs."""
    if len(start) == 1:
        return start @ fit.weights
    return start * fit.weights.reshape(len(start), 1, -1)
