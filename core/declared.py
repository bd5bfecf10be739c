"""What a graph declares of its inputs, outputs and values, before anything believes it."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from .limits import Limits
from .protos import all_graphs
from .tensor_checks import count_elements

_PLACEHOLDERS = frozenset({"?", "-1", "None", "none", "unk", "unknown"})
"""Names that exporters write for "not known"; two dimensions of that name need not be equal."""


def check_declared(model: onnx.ModelProto, limits: Limits) -> tuple[str, ...]:
    """Check every declared type and shape; take ``-1`` and placeholder names for "not known", in place.

    Args:
        model: The model.
        limits: The most elements that one input or output may have.

    Returns:
        A note, where a dimension was changed.

    Raises:
        ModelError: A dimension is below -1 or the product overflows.
        LimitError: A declared shape holds too many elements.
    """
    freed = 0
    for graph in all_graphs(model):
        for value in (*graph.input, *graph.output, *graph.value_info):
            for shape in _shapes(value.type):
                freed += sum(_free(dim) for dim in shape.dim)
                dims = [d.dim_value for d in shape.dim if d.HasField("dim_value")]
                count_elements(dims, f"value {value.name[:80]!r}", limits)
    return (f"{freed} dimensions given as -1 or by a placeholder name are taken as free",) if freed else ()


def _free(dim: onnx.TensorShapeProto.Dimension) -> bool:
    is_placeholder = dim.dim_value == -1 if dim.HasField("dim_value") else dim.dim_param in _PLACEHOLDERS
    if is_placeholder:
        dim.ClearField("value")
    return is_placeholder


def _shapes(kind: onnx.TypeProto) -> Iterator[onnx.TensorShapeProto]:
    """The shapes inside a type; types nest in sequences, optionals and maps."""
    current: onnx.TypeProto | None = kind
    while current is not None:
        which = current.WhichOneof("value")
        inner: onnx.TypeProto | None = None
        if which in {"tensor_type", "sparse_tensor_type"}:
            held = getattr(current, which)
            if held.HasField("shape"):
                yield held.shape
        elif which in {"sequence_type", "optional_type"}:
            inner = getattr(current, which).elem_type
        elif which == "map_type":
            inner = current.map_type.value_type
        current = inner
