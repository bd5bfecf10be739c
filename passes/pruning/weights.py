"""Pruning of single weights: zeros for sparse kernels and for compressed size.

Dense kernels do not run faster on zeros, and the report says so.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import OrtRunner, Runner
from ...core.errors import ExpectationError, UsageError
from ...core.reports import Change, Skip
from ..base import GraphPass
from ..globs import first_glob
from .linear_layers import LinearLayer, linear_layers
from .options import PruneOptions
from .positions import PickedRows
from .report import PruneReport
from .sparsity import Mask, Pattern, smallest_out
from .statistics import refuse_non_finite
from .structured import sample_shapes_of
from .weight_regression import compensated, energy, weigh

Matrix = npt.NDArray[np.float64]

CRITERIA_OF_WEIGHTS = ("second-order", "wanda", "magnitude")
"""What may decide which single weights go."""

MOST_INPUTS = 8192
"""An output with more inputs is chosen by magnitude without compensation: the moments would not fit."""

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Einsum", "GRU", "Gemm", "LSTM", "MatMul", "RNN"})
_NOTE = "dense kernels do not run faster on zeros; sparse kernels and compression gain"


@dataclass(frozen=True)
class _Task:
    """A layer to be thinned out, and the share of its weights that go."""

    layer: LinearLayer
    ratio: float


class WeightPruningPass(GraphPass):
    """Zeroes weights that the outputs need least.

    1. Weights of convolutions and matrix products are candidates; biases and normalisations are left alone.
    2. Each layer's share comes from the scope: the same for all, or by what the weights are worth against all others.
    3. Layer by layer in the order of the graph, on what it reads by then: choose in the pattern, and let the weights
       that stay take over (closed form).

    Args:
        options: What, how much and how.
        data: The samples; may be left out for ``magnitude`` without compensation.
        runner: Executes graphs; ONNX Runtime by default.
        progress: Told the layers done and the layers in all.
    """

    name: ClassVar[str] = "prune"

    def __init__(
        self,
        options: PruneOptions,
        data: CalibrationData | None = None,
        runner: Runner | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        super().__init__(sample_shapes_of(data))
        if options.criterion not in CRITERIA_OF_WEIGHTS:
            raise UsageError(
                f"single weights are not chosen by {options.criterion_name}",
                remedy=f"choose one of {', '.join(CRITERIA_OF_WEIGHTS)}, or --granularity structured",
            )
        if data is None and (options.compensate or options.criterion != "magnitude"):
            raise UsageError(
                f"criterion {options.criterion_name} and compensation need samples",
                remedy="give --calib, or --criterion magnitude with --no-compensate",
            )
        self.options = options
        self.criterion = options.criterion_name
        self.pattern = Pattern.parse(options.granularity) or Pattern()
        self.data = data
        self.runner = runner or OrtRunner()
        self.progress = progress or (lambda done, total: None)
        self.report: PruneReport = PruneReport(self.name)

    def rewrite(self, model: ir.Model) -> bool:
        """Zero weights in place."""
        refuse_non_finite(model)
        self.report = PruneReport(self.name, before=self.report.before)
        packed = compressed_bytes(model)
        layers = self._candidates(model)
        if not layers:
            raise ExpectationError("the graph holds no weight to zero", remedy="see `sardonyx inspect`")
        tasks = self._tasks(model, layers)
        zeros = 0
        for index, task in enumerate(tasks):
            self.progress(index, len(tasks))
            zeros += self._thin_out(model, task)
        self.progress(len(tasks), len(tasks))
        self.report.details = {
            "criterion": self.criterion,
            "granularity": self.options.granularity,
            "scope": self.options.scope,
            "compensate": self.options.compensate,
            "sparsity": zeros / max(sum(t.layer.size for t in tasks), 1),
            "compressed_bytes_before": packed,
            "compressed_bytes_after": compressed_bytes(model),
            "note": _NOTE,
        }
        return bool(self.report.applied)

    def _candidates(self, model: ir.Model) -> list[LinearLayer]:
        """Layers whose weights may go; a reason for every other weight."""
        names = {v.name or "" for node in model.graph for v in node.outputs}
        layers = {layer.node: layer for layer in linear_layers(model, names)}
        for node in model.graph:
            weight = node.inputs[1] if node.op_type in _WEIGHTED and len(node.inputs) > 1 else None
            if weight is None or weight.const_value is None:
                continue
            reason = self._reason(node, weight, layers.get(node))
            if reason is not None:
                layers.pop(node, None)
                code, text = reason
                name = weight.name or ""
                self.report.skipped.append(Skip(name, None, code, f"{name} stays dense: {text}"))
        return list(layers.values())

    def _reason(self, node: ir.Node, weight: ir.Value, layer: LinearLayer | None) -> tuple[str, str] | None:
        names = (node.name or "", weight.name or "")
        glob = first_glob(names, self.options.exclude)
        if glob is not None:
            return "excluded", f"excluded by {glob}"
        if layer is None:
            return "no-rule", f"{node.op_type} with these weights is no matrix of its own"
        text = self.pattern.misfit(*layer.pattern_shape)
        return None if text is None else ("uneven", text)

    def _tasks(self, model: ir.Model, layers: list[LinearLayer]) -> list[_Task]:
        ratio = self._cut_ratio(layers)
        if self.options.scope == "local" or self.pattern.keep:
            return [_Task(layer, ratio) for layer in layers]
        tiles = []
        for layer in layers:
            matrix, grams = _channels_last(layer, layer.matrix()), self._grams(model, layer)
            tiles.append(self._worth_of_tiles(matrix, grams))
        keep = smallest_out(np.concatenate([t.ravel() for t in tiles]), ratio)
        parts = np.split(keep, np.cumsum([t.size for t in tiles])[:-1])
        return [_Task(layer, 1 - float(part.mean())) for layer, part in zip(layers, parts, strict=True)]

    def _worth_of_tiles(self, matrix: Matrix, grams: Matrix | None) -> Matrix:
        """What the tiles of a layer are worth, comparable over layers."""
        found = []
        for block, weights in enumerate(matrix):
            gram = None if grams is None else grams[block]
            worth = weigh(self.criterion, weights, gram)
            scale = energy(weights, gram)
            # wanda is a norm, the second order an energy; magnitudes are compared as they are
            found.append(self.pattern.tiles(worth / (np.sqrt(scale) if self.criterion == "wanda" else scale)))
        return np.concatenate([f.ravel() for f in found])

    def _cut_ratio(self, layers: list[LinearLayer]) -> float:
        """The share of candidate weights to zero; ``params`` counts everything that stays non-zero."""
        if self.options.ratio is not None:
            return self.options.ratio
        total = self.report.before.params if self.report.before else 0
        held = sum(layer.size for layer in layers)
        return float(np.clip((1 - (self.options.params or 1.0)) * total / max(held, 1), 0.0, 1.0))

    def _grams(self, model: ir.Model, layer: LinearLayer) -> Matrix | None:
        """Second moments of what each block of a layer reads, channels last; None where nothing needs them."""
        needed = self.options.compensate or self.criterion != "magnitude"
        if self.data is None or not needed or layer.features > MOST_INPUTS:
            return None
        rows = PickedRows(self.options.seed)
        total: Matrix | None = None
        count = 0
        for picked in rows.of(model, layer, self.data, self.runner):
            x = picked.features.astype(np.float64)[:, :, layer.channels_last].transpose(1, 0, 2)
            gram = x.transpose(0, 2, 1) @ x
            total = gram if total is None else total + gram
            count += x.shape[1]
        return None if total is None else total / count

    def _thin_out(self, model: ir.Model, task: _Task) -> int:
        """Zero one layer's weights; return how many zeros it has."""
        layer = task.layer
        matrix, grams = _channels_last(layer, layer.matrix()), self._grams(model, layer)
        before = int((matrix != 0).sum())
        for block, weights in enumerate(matrix):
            matrix[block] = self._zeroed(weights, None if grams is None else grams[block], task.ratio)
        after = int((matrix != 0).sum())
        if after < before:
            back = np.argsort(layer.channels_last)
            layer.replace(matrix.transpose(0, 2, 1)[:, back], np.zeros(1))
            self.report.applied.append(Change(layer.weight.name or "", "non-zero weights", before, after))
        return layer.size - after

    def _zeroed(self, weights: Matrix, gram: Matrix | None, ratio: float) -> Matrix:
        if gram is None:
            return np.where(self.pattern.choose(np.abs(weights), ratio), weights, 0.0)
        adaptive = self.options.compensate and self.criterion == "second-order"
        mask: Mask | None = (
            None if adaptive else self.pattern.choose(weigh(self.criterion, weights, gram), ratio)
        )
        if mask is not None and not self.options.compensate:
            return np.where(mask, weights, 0.0)
        return compensated(weights, gram, self.pattern, ratio, mask)[0]


def compressed_bytes(model: ir.Model) -> int:
    """Bytes of all weights after DEFLATE, which is what archives and app bundles do to a file."""
    packer = zlib.compressobj(6)
    total = sum(len(packer.compress(content)) for content in _contents(model))
    return total + len(packer.flush())


def _contents(model: ir.Model) -> Iterator[bytes]:
    for value in model.graph.initializers.values():
        if value.const_value is not None:
            yield value.const_value.tobytes()


def _channels_last(layer: LinearLayer, matrix: Matrix) -> Matrix:
    """Weights of shape ``(blocks, outputs, inputs)`` in which the channels under one tap stand side by side."""
    return np.ascontiguousarray(matrix[:, layer.channels_last].transpose(0, 2, 1))
