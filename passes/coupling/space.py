"""An integer id for every index of every static axis of every value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...core.limits import current_limits, refuse_above
from ...core.shapes import Dims

Ids = npt.NDArray[np.int64]
"""Ids of consecutive indices of an axis, or any selection of them."""


class IndexSpace:
    """Hands out the ids of a graph's values, those of its subgraphs included.

    Dynamic axes (batch, sequence, image size) carry no ids. Values are told apart by what they are: a subgraph may
    use a name that another subgraph uses too.

    Args:
        graph: The main graph; initializers are values like any other.
        shapes: Shapes that inference could not find, by name of a value of the main graph (from a run on one sample).
        is_approximate: Whether indices may be cut whose means over others change with every cut.

    Raises:
        LimitError: The axes have too many indices; each takes some sixty bytes of memory.
    """

    def __init__(
        self, graph: ir.Graph, shapes: Mapping[str, Dims] | None = None, *, is_approximate: bool = False
    ) -> None:
        self.total = 0
        self.is_approximate = is_approximate
        self.graph = graph
        self._dims: dict[ir.Value, Dims | None] = {}
        self._bases: dict[ir.Value, tuple[int | None, ...]] = {}
        for scope in (graph, *graph.subgraphs()):
            values = [
                *scope.inputs,
                *scope.initializers.values(),
                *(v for node in scope for v in node.outputs),
            ]
            found = shapes if scope is graph and shapes is not None else {}
            for value in dict.fromkeys(values):
                self._add(value, found.get(value.name or ""))
                most, what = (
                    current_limits().coupled_indices,
                    f"indices of axes, up to those of {value.name!r}",
                )
                refuse_above(self.total, most, what, "coupled_indices")

    def _add(self, value: ir.Value, fallback: Dims | None) -> None:
        dims = _dims_of(value)
        if dims is None:
            dims = fallback
        elif fallback is not None and len(fallback) == len(dims):
            dims = tuple(f if d is None else d for d, f in zip(dims, fallback, strict=True))
        self._dims[value] = dims
        bases: list[int | None] = []
        for size in dims or ():
            bases.append(self.total if isinstance(size, int) else None)
            self.total += size if isinstance(size, int) else 0
        self._bases[value] = tuple(bases)

    def __contains__(self, value: ir.Value) -> bool:
        return value in self._dims

    def dims(self, value: ir.Value) -> Dims | None:
        """The dimensions of a value, or None where not even the rank is known."""
        return self._dims.get(value)

    def ids(self, value: ir.Value, axis: int) -> Ids | None:
        """The ids along an axis; None where the axis is dynamic."""
        dims = self._dims[value]
        if dims is None:
            return None
        base, size = self._bases[value][axis], dims[axis]
        return None if base is None or not isinstance(size, int) else np.arange(base, base + size)

    def all_ids(self, value: ir.Value) -> list[tuple[int, Ids]]:
        """Every static axis of a value with its ids."""
        axes = range(len(self._dims.get(value) or ()))
        pairs = ((axis, self.ids(value, axis)) for axis in axes)
        return [(axis, ids) for axis, ids in pairs if ids is not None]

    def is_observable(self, value: ir.Value) -> bool:
        """Whether a run can hand the value out: those of the main graph, not those of a body."""
        return value.graph is self.graph

    def axes(self) -> Iterator[tuple[ir.Value, int, int]]:
        """Every static axis that is not empty: its value, its number and its first id, in the order of the ids."""
        for value, bases in self._bases.items():
            for axis, base in enumerate(bases):
                if base is not None and (self._dims[value] or ())[axis] != 0:
                    yield value, axis, base

    def values(self) -> list[ir.Value]:
        """Every value that has ids."""
        return list(self._dims)


def _dims_of(value: ir.Value) -> Dims | None:
    if value.const_value is not None:
        return tuple(value.const_value.shape.numpy())
    # The shape of a sequence or an optional is that of its elements, which no axis of its own stands for.
    if value.shape is None or not isinstance(value.type, (ir.TensorType, type(None))):
        return None
    # Some exporters write -1 for a free dimension.
    return tuple((d if d >= 0 else None) if isinstance(d, int) else d.value for d in value.shape)
