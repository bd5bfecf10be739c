"""The last repair: each layer's outputs are brought back to those of the original.

The repair after a cut looks at one layer's inputs at a time, and small errors add up along the network. Here, layer by
layer in the order of the graph, the outputs of the original are regressed on those of the cut layer, which already
sees corrected inputs (He, Zhang & Sun, Channel Pruning, 2017, §3.2, for the asymmetric reconstruction). The map
``y ↦ A y + c`` folds into weights and bias. How far it is shrunk towards no correction at all is chosen on samples
held out from the regression.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.observers import rows_of
from ...calib_data.runner import Runner
from .sensitivity import split_off

Matrix = npt.NDArray[np.float64]
Alive = Mapping[tuple[str, int], npt.NDArray[np.int64]]
"""For an axis of an initializer, by name, which of its indices at first are left."""

_SHRINKAGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Ridge towards the identity, as shares of the outputs' mean variance."""

_ROWS = 2048
"""Positions taken from one batch."""

_BATCH = 64
_NEGLIGIBLE = 1e-9


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


@dataclass(frozen=True)
class _Layer:
    """A linear layer whose outputs can be mapped by changing its weights; each by itself where it is grouped."""

    node: ir.Node
    weight: ir.Value
    out_axis: int
    bias: ir.Value | None
    is_grouped: bool = False


@dataclass(frozen=True)
class _Moments:
    """Joint moments of the cut layer's outputs and the original's, both of shape ``(channels,)`` at a position."""

    mean_cut: Matrix
    mean_original: Matrix
    cut: Matrix
    cross: Matrix
    original: Matrix

    @classmethod
    def of(cls, cut: Matrix, original: Matrix, *, centred: bool) -> _Moments:
        """From rows, shape ``(positions, channels)``; about zero where there is no bias to take the mean."""
        means = [rows.mean(0) if centred else np.zeros(rows.shape[1]) for rows in (cut, original)]
        c, o = cut - means[0], original - means[1]
        return cls(means[0], means[1], c.T @ c / len(c), o.T @ c / len(c), o.T @ o / len(o))

    def map(self, shrinkage: float, *, diagonal: bool) -> Matrix:
        """``A``, shrunk towards the identity; where it is diagonal, each output is regressed on itself alone."""
        scale = max(float(np.trace(self.cut)) / len(self.cut), 1e-30)
        ridge = np.eye(len(self.cut)) * (shrinkage * scale)
        if diagonal:
            return np.diag(np.diag(self.cross + ridge) / np.maximum(np.diag(self.cut + ridge), 1e-30))
        return np.asarray(np.linalg.solve(self.cut + ridge, (self.cross + ridge).T).T, np.float64)

    def error(self, matrix: Matrix, shift: Matrix) -> float:
        """Mean squared difference of ``A y + c`` from the original, as a share of the original's variance."""
        offset = matrix @ self.mean_cut + shift - self.mean_original
        squared = (
            np.trace(self.original - 2 * matrix @ self.cross.T + matrix @ self.cut @ matrix.T)
            + offset @ offset
        )
        return float(squared) / max(float(np.trace(self.original)), 1e-30)


def correct_outputs(
    model: ir.Model, original: ir.Model, alive: Alive, data: CalibrationData, runner: Runner, *, seed: int = 0
) -> list[CorrectionGain]:
    """Correct every linear layer of a cut graph.

    Args:
        model: The cut graph; its weights and biases are changed in place.
        original: The graph before any cut.
        alive: Which channels are left.
        data: The samples; a quarter of them judges.
        runner: Executes both graphs.
        seed: Seed of the choice of samples and positions.

    Returns:
        What it gave, for each layer that was corrected.
    """
    fitting, held_out = split_off(data, seed)
    names = {v.name for node in original.graph for v in node.outputs}
    gains = []
    for layer in filter(None, map(_layer_of, list(model.graph))):
        if layer.node.outputs[0].name not in names:
            continue
        kept = alive.get((layer.weight.name or "", layer.out_axis))
        moments = [_collect(model, original, layer, kept, part, runner, seed) for part in (fitting, held_out)]
        gain = _correct(layer, *moments)
        if gain is not None:
            gains.append(gain)
    return gains


def _correct(layer: _Layer, fit: _Moments, judge: _Moments) -> CorrectionGain | None:
    """Choose the shrinkage on the held-out moments; None where no correction is better than none."""
    channels = len(fit.cut)
    before = judge.error(np.eye(channels), np.zeros(channels))
    if before < _NEGLIGIBLE:
        return None
    best: tuple[float, Matrix, Matrix] | None = None
    for shrinkage in _SHRINKAGES:
        matrix = fit.map(shrinkage, diagonal=layer.is_grouped)
        shift = fit.mean_original - matrix @ fit.mean_cut
        error = judge.error(matrix, shift)
        if error < (before if best is None else best[0]):
            best = (error, matrix, shift)
    if best is None:
        return None
    _fold(layer, best[1], best[2])
    return CorrectionGain(layer.node.name or "", before, best[0])


def _fold(layer: _Layer, matrix: Matrix, shift: Matrix) -> None:
    """``W ↦ A W`` and ``b ↦ A b + c``."""
    array = _content(layer.weight)
    moved = np.moveaxis(array, layer.out_axis, 0)
    mapped = np.tensordot(matrix, moved, axes=(1, 0))
    _write(layer.weight, np.moveaxis(mapped, 0, layer.out_axis))
    if layer.bias is not None:
        _write(layer.bias, matrix @ _content(layer.bias) + shift)


def _layer_of(node: ir.Node) -> _Layer | None:
    """A convolution or matrix product with weights, and a bias if any, of its own."""
    if node.domain not in {"", "ai.onnx"} or node.op_type not in {"Conv", "Gemm", "MatMul"}:
        return None
    weight = _own(node.inputs[1])
    bias = _own(node.inputs[2]) if len(node.inputs) > 2 else None
    if weight is None or (len(node.inputs) > 2 and node.inputs[2] is not None and bias is None):
        return None
    if bias is not None and _content(bias).ndim != 1:
        return None
    if node.op_type == "Conv":
        return _Layer(node, weight, 0, bias, node.attributes.get_int("group", 1) > 1)
    if _content(weight).ndim != 2:
        return None
    if node.op_type == "MatMul":
        return _Layer(node, weight, 1, None)
    plain = node.attributes.get_float("alpha", 1.0) == node.attributes.get_float("beta", 1.0) == 1.0
    return _Layer(node, weight, 0 if node.attributes.get_int("transB", 0) else 1, bias) if plain else None


def _own(value: ir.Value | None) -> ir.Value | None:
    """A float constant that no other node reads, and that is no input of the graph."""
    if value is None or value.const_value is None or not value.is_initializer() or value.is_graph_input():
        return None
    return value if len(value.uses()) == 1 and value.const_value.dtype.is_floating_point() else None


def _collect(
    model: ir.Model,
    original: ir.Model,
    layer: _Layer,
    kept: npt.NDArray[np.int64] | None,
    data: CalibrationData,
    runner: Runner,
    seed: int,
) -> _Moments:
    """Run both graphs on the same samples, and look at the same positions of both."""
    name, axis = layer.node.outputs[0].name or "", 1 if layer.node.op_type == "Conv" else -1
    random = np.random.default_rng(seed)
    feeds = list(data.batches(_BATCH))
    pairs = []
    for cut, whole in zip(
        *(runner.run(graph, feeds, [name], optimize=True) for graph in (model, original)), strict=True
    ):
        rows = [rows_of(a[name], axis % a[name].ndim).astype(np.float64) for a in (cut, whole)]
        if len(rows[0]) > _ROWS:
            chosen = np.sort(random.choice(len(rows[0]), _ROWS, replace=False))
            rows = [r[chosen] for r in rows]
        pairs.append((rows[0], rows[1] if kept is None else rows[1][:, kept]))
    cut_rows, original_rows = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return _Moments.of(cut_rows, original_rows, centred=layer.bias is not None)


def _content(value: ir.Value) -> Matrix:
    assert value.const_value is not None
    return np.asarray(value.const_value.numpy(), np.float64)


def _write(value: ir.Value, array: Matrix) -> None:
    assert value.const_value is not None
    dtype = value.const_value.dtype
    content = np.ascontiguousarray(array.astype(dtype.numpy()))
    value.const_value = ir.tensor(content, dtype=dtype, name=value.name)
