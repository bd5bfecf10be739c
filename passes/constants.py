"""Initializers: all there are, and new ones."""

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
