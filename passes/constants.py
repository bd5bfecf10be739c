"""Initializers: all there are, new ones, and what some of them are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import onnx_ir as ir


def all_initializers(graph: ir.Graph) -> Iterator[ir.Value]:
    """Every initializer of a graph, those of its subgraphs included."""
    for scope in (graph, *graph.subgraphs()):
        yield from scope.initializers.values()


def add_constant(
    graph: ir.Graph, stem: str, content: npt.NDArray[np.generic], dtype: ir.DataType | None = None
) -> ir.Value:
    """Add an initializer under a name that is free.

    Args:
        graph: The graph.
        stem: What the name is to be; numbered where it is taken.
        content: The contents.
        dtype: The element type, where numpy's own does not say it (bfloat16, for one).

    Returns:
        The initializer, with type and shape.
    """
    name, count = stem, 0
    while name in graph.initializers:
        count += 1
        name = f"{stem}_{count}"
    tensor = ir.tensor(content, dtype=dtype, name=name)
    value = ir.Value(name=name, const_value=tensor, shape=ir.Shape(content.shape))
    value.dtype = tensor.dtype
    graph.register_initializer(value)
    return value


def is_mask(array: npt.NDArray[np.generic]) -> bool:
    """Whether floats are infinities and zeros only, or one infinity: what hides, or does not bound."""
    hides = np.isin(array, (0, -np.inf, np.inf)).all() and np.isinf(array).any()
    return bool(hides) and (array.size == 1 or not array.all())
