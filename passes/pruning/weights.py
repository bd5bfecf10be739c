"""Pruning of single weights: zeros for sparse kernels and for compressed size.

Dense kernels do not run faster on zeros, and the report says so.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...core.errors import ExpectationError, UsageError
from ...core.reports import Change, Skip
from ..base import GraphPass
from .options import PruneOptions
from .report import PruneReport
from .statistics import refuse_non_finite
from .structured import sample_shapes_of

_CONSUMERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


class WeightPruningPass(GraphPass):
    """Zeroes the smallest weights (Han et al., Learning both Weights and Connections, 2015).

    1. Weights of convolutions and matrix products are candidates; biases and normalisations are left alone.
    2. ``unstructured``: the smallest magnitudes go, over the whole graph or in each initializer.
    3. ``n:m``: of every m consecutive weights along the contracted axis the n largest stay.

    Args:
        options: What, how much and how.
        data: Only its shapes are used, for the metrics.
    """

    name: ClassVar[str] = "prune"

    def __init__(self, options: PruneOptions, data: CalibrationData | None = None) -> None:
        super().__init__(sample_shapes_of(data))
        if options.criterion not in {"magnitude", "second-order"}:
            raise UsageError(
                f"single weights are chosen by magnitude, not {options.criterion_name}",
                remedy="leave --criterion out, or choose --granularity structured",
            )
        self.options = options
        self.report: PruneReport = PruneReport(self.name)

    def rewrite(self, model: ir.Model) -> bool:
        """Zero weights in place."""
        refuse_non_finite(model)
        self.report = PruneReport(self.name, before=self.report.before)
        weights = self._candidates(model)
        if not weights:
            raise ExpectationError("the graph holds no weight to zero", remedy="see `sardonyx inspect`")
        masks = self._n_of_m(weights) if self.options.pattern else self._smallest(weights)
        for (value, _), mask in zip(weights, masks, strict=True):
            self._apply(value, mask)
        zeros = sum(int((~mask).sum()) for mask in masks)
        self.report.details = {
            "criterion": "magnitude",
            "granularity": self.options.granularity,
            "sparsity": zeros / max(sum(mask.size for mask in masks), 1),
            "note": "dense kernels do not run faster on zeros; sparse kernels and compression gain",
        }
        return bool(self.report.applied)

    def _candidates(self, model: ir.Model) -> list[tuple[ir.Value, int]]:
        """Weights with their contracted axis."""
        found: dict[str, tuple[ir.Value, int]] = {}
        for node in model.graph:
            weight = node.inputs[1] if node.op_type in _CONSUMERS and len(node.inputs) > 1 else None
            if (
                weight is None
                or weight.const_value is None
                or not weight.const_value.dtype.is_floating_point()
            ):
                continue
            glob = next((g for g in self.options.exclude if fnmatch.fnmatchcase(weight.name or "", g)), None)
            if glob is not None:
                self.report.skipped.append(Skip(weight.name or "", None, "excluded", f"excluded by {glob}"))
                continue
            found[weight.name or ""] = (weight, _contracted_axis(node, len(weight.const_value.shape)))
        return list(found.values())

    def _cut_ratio(self, weights: Sequence[tuple[ir.Value, int]]) -> float:
        """The share of candidate weights to zero; ``params`` counts everything that stays non-zero."""
        if self.options.ratio is not None:
            return self.options.ratio
        total = self.report.before.params if self.report.before else 0
        held = sum(_array(value).size for value, _ in weights)
        return float(np.clip((1 - (self.options.params or 1.0)) * total / max(held, 1), 0.0, 1.0))

    def _smallest(self, weights: Sequence[tuple[ir.Value, int]]) -> list[npt.NDArray[np.bool_]]:
        ratio = self._cut_ratio(weights)
        sizes = [np.abs(_array(value)) for value, _ in weights]
        if self.options.scope == "local":
            return [_largest(size, ratio) for size in sizes]
        keep = _largest(np.concatenate([size.ravel() for size in sizes]), ratio)
        parts = np.split(keep, np.cumsum([size.size for size in sizes])[:-1])
        return [part.reshape(size.shape) for part, size in zip(parts, sizes, strict=True)]

    def _n_of_m(self, weights: Sequence[tuple[ir.Value, int]]) -> list[npt.NDArray[np.bool_]]:
        n, m = self.options.pattern or (1, 1)
        masks = []
        for value, axis in weights:
            array = np.abs(_array(value))
            rows = np.moveaxis(array, axis, -1)
            if rows.shape[-1] % m:
                text = f"its contracted axis of {rows.shape[-1]} does not divide by {m}"
                self.report.skipped.append(
                    Skip(value.name or "", axis, "uneven", f"{value.name} stays dense: {text}")
                )
                masks.append(np.ones(array.shape, dtype=bool))
                continue
            blocks = rows.reshape(*rows.shape[:-1], -1, m)
            rank = np.argsort(np.argsort(-blocks, axis=-1, kind="stable"), axis=-1, kind="stable")
            masks.append(np.moveaxis((rank < n).reshape(rows.shape), -1, axis))
        return masks

    def _apply(self, value: ir.Value, mask: npt.NDArray[np.bool_]) -> None:
        if mask.all() or value.const_value is None:
            return
        array = np.where(mask, _array(value), 0).astype(_array(value).dtype)
        before = int((_array(value) != 0).sum())
        value.const_value = ir.tensor(array, dtype=value.const_value.dtype, name=value.name)
        self.report.applied.append(
            Change(value.name or "", "non-zero weights", before, int((array != 0).sum()))
        )


def _array(value: ir.Value) -> npt.NDArray[np.float32]:
    if value.const_value is None:
        raise ValueError(f"{value.name} is not constant")
    return value.const_value.numpy()


def _largest(sizes: npt.NDArray[np.float32], ratio: float) -> npt.NDArray[np.bool_]:
    """True for all but the smallest share; ties are broken by position, so that the count is exact."""
    keep = np.ones(sizes.size, dtype=bool)
    keep[np.argsort(sizes, axis=None, kind="stable")[: round(ratio * sizes.size)]] = False
    return keep.reshape(sizes.shape)


def _contracted_axis(node: ir.Node, rank: int) -> int:
    if node.op_type == "MatMul":
        return rank - 2
    if node.op_type == "Gemm":
        return 1 if node.attributes.get_int("transB", 0) else 0
    return 1 if node.op_type == "Conv" else 0
