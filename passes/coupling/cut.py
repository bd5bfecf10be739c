"""Taking classes out of a graph: initializers lose indices, and what states a size is rewritten."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...core.errors import ModelError
from ..constants import all_initializers
from .analysis import Coupling
from .rewrites import REWRITES


class Kept:
    """Which indices of which axis stay after a cut.

    Args:
        coupling: The analysis of the graph before the cut.
        cut: Labels of the classes that go.
    """

    def __init__(self, coupling: Coupling, cut: npt.NDArray[np.int64]) -> None:
        self.coupling = coupling
        self._gone = np.zeros(int(coupling.labels.max(initial=-1)) + 1, dtype=bool)
        self._gone[cut] = True

    def mask(self, value: ir.Value, axis: int) -> npt.NDArray[np.bool_] | None:
        """Which indices of an axis stay, shape ``(size,)``; None where none goes."""
        labels = self.coupling.classes_of(value, axis) if value in self.coupling.space else None
        if labels is None or not self._gone[labels].any():
            return None
        return ~self._gone[labels]

    def axes(self, value: ir.Value) -> dict[int, npt.NDArray[np.bool_]]:
        """The mask of every axis of a value that loses indices."""
        dims = self.coupling.space.dims(value) if value in self.coupling.space else None
        masks = ((axis, self.mask(value, axis)) for axis in range(len(dims or ())))
        return {axis: mask for axis, mask in masks if mask is not None}


def cut_classes(model: ir.Model, coupling: Coupling, cut: npt.NDArray[np.int64]) -> None:
    """Take classes out of a graph.

    Args:
        model: The graph that ``coupling`` describes; changed in place. Shapes of intermediate values are stale
            afterwards: infer them again.
        coupling: Its analysis.
        cut: Labels of the classes to take out, shape ``(n,)``.

    Raises:
        ModelError: A class is frozen, or an axis would be left empty.
    """
    for label in cut:
        reason = coupling.reason(int(label))
        if reason is not None:
            raise ModelError(
                f"a frozen neuron cannot be cut: {reason.text}", remedy="exclude it from the plan"
            )
    kept = Kept(coupling, cut)
    _refuse_empty(coupling, kept)
    # Rewrites read the constants as they are now, so they come before the initializers shrink.
    for node in list(ir.traversal.RecursiveGraphIterator(model.graph)):
        rewrite = REWRITES.get(node.op_type)
        if rewrite is not None:
            rewrite(node, kept)
    _declare(model, kept)
    for value in all_initializers(model.graph):
        masks = kept.axes(value)
        if masks and value.const_value is not None:
            array = value.const_value.numpy()
            for axis, mask in masks.items():
                array = np.compress(mask, array, axis=axis)
            value.const_value = ir.tensor(
                np.ascontiguousarray(array), dtype=value.const_value.dtype, name=value.name
            )
            value.shape = ir.Shape(array.shape)


def _declare(model: ir.Model, kept: Kept) -> None:
    """What subgraphs declare of their inputs and outputs is not inferred again: write what stays."""
    for graph in model.graph.subgraphs():
        for value in dict.fromkeys((*graph.inputs, *graph.outputs)):
            masks = kept.axes(value)
            if masks and value.shape is not None and value.const_value is None:
                sizes = [int(masks[axis].sum()) if axis in masks else d for axis, d in enumerate(value.shape)]
                value.shape = ir.Shape(sizes)


def _refuse_empty(coupling: Coupling, kept: Kept) -> None:
    for value in coupling.space.values():
        for axis, mask in kept.axes(value).items():
            if not mask.any():
                raise ModelError(
                    f"the cut would leave axis {axis} of {value.name} empty",
                    remedy="keep at least one neuron",
                )
