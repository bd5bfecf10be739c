"""A proof that shape inference computes no long list of sizes, from the lengths of the vectors that it may take for one.

Where it follows the elements of sizes, inference writes down one dimension for each element of *any* vector of known length,
whatever its type: ``Cast`` of a vector of 2^30 elements takes a hundred gigabytes. So lengths are inferred first, without
following elements. A length that is still open after that is either a symbol, which is harmless, or computed from elements.
"""

from __future__ import annotations

from collections import ChainMap

import onnx

from .growth import SIZE_OPS
from .limits import Limits
from .protos import DEFAULT_DOMAINS, subgraphs

_INTEGERS = frozenset({onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.UNDEFINED})
_FROM_LENGTHS = SIZE_OPS | {"Shape", "Constant"}
"""Operators whose results are as long as their inputs, or as a rank, or as the node itself says."""

_Scope = ChainMap[str, "_Vector"]


class _Vector:
    """What is known of a value: its dimensions, None where they are open, and whether elements decide on them."""

    def __init__(self, kind: onnx.TypeProto | None, *, is_computed: bool, is_stored: bool = False) -> None:
        tensor = kind.tensor_type if kind is not None and kind.HasField("tensor_type") else None
        has_shape = tensor is not None and tensor.HasField("shape")
        self.dims = (
            [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
            if tensor is not None and has_shape
            else None
        )
        self.type = tensor.elem_type if tensor is not None else onnx.TensorProto.UNDEFINED
        self.is_stored = is_stored
        self.is_computed = is_computed and (self.dims is None or None in self.dims)

    @property
    def may_be_sizes(self) -> bool:
        """Whether an operator may read lengths from its elements."""
        is_flat = self.dims is None or len(self.dims) <= 1
        return is_flat and self.type in _INTEGERS and not self.is_stored

    def exceeds(self, elements: int) -> bool:
        """Whether it may be a vector of more elements."""
        if self.dims is None or self.is_computed:
            return self.is_computed and (self.dims is None or len(self.dims) == 1)
        return len(self.dims) == 1 and (self.dims[0] or 0) > elements


def are_lengths_bounded(model: onnx.ModelProto, limits: Limits) -> bool:
    """Prove that no operator through which inference carries elements reads a long vector, or fail to.

    Args:
        model: The model with the shapes that inference finds without following elements.
        limits: The most elements of one tensor.

    Returns:
        False where a vector is longer, or might be; the model may still be harmless.
    """
    if any(node.op_type in SIZE_OPS for function in model.functions for node in function.node):
        return False  # what is inferred of values inside a function is not told
    return _is_bounded(model.graph, ChainMap(), limits, is_body=False)


def _is_bounded(graph: onnx.GraphProto, outer: _Scope, limits: Limits, *, is_body: bool) -> bool:
    known = outer.new_child({v.name: _Vector(v.type, is_computed=is_body) for v in graph.input})
    types = {v.name: v.type for v in (*graph.value_info, *graph.output)}
    for tensor in graph.initializer:
        known[tensor.name] = _Vector(_type_of(tensor), is_computed=False, is_stored=True)
    for node in graph.node:
        inputs = [known[name] for name in node.input if name in known]
        if any(not _is_bounded(inner, known, limits, is_body=True) for inner in subgraphs(node)):
            return False
        is_carried = node.domain in DEFAULT_DOMAINS and node.op_type in SIZE_OPS
        if is_carried and any(v.exceeds(limits.inferred_elements) for v in inputs):
            return False
        is_computed = any(v.is_computed for v in inputs) or bool(subgraphs(node))
        if node.op_type not in _FROM_LENGTHS:
            is_computed = is_computed or any(v.may_be_sizes for v in inputs)
        for name in node.output:
            is_stored = node.op_type == "Constant"
            known[name] = _Vector(types.get(name), is_computed=is_computed, is_stored=is_stored)
    return True


def _type_of(tensor: onnx.TensorProto) -> onnx.TypeProto:
    return onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
