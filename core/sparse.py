"""Sparse tensors, which the in-memory graph would drop without a word, made dense."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from .errors import ModelError
from .limits import Limits, refuse_above
from .protos import all_graphs, all_nodes, label
from .tensor_checks import check_tensor, count_elements


def densify(model: onnx.ModelProto, limits: Limits) -> tuple[str, ...]:
    """Replace sparse initializers and sparse constants by dense ones, in place.

    Args:
        model: The model.
        limits: The most bytes that the dense tensors may take together.

    Returns:
        A note, where anything was replaced.

    Raises:
        ModelError: A sparse tensor is malformed, or stands where it cannot be replaced.
        LimitError: The dense tensors would be too large.
    """
    total = count = 0
    for graph in all_graphs(model):
        for sparse in graph.sparse_initializer:
            dense = _dense(sparse, f"sparse initializer {sparse.values.name!r}", limits, total)
            graph.initializer.append(dense)
            total, count = total + len(dense.raw_data), count + 1
        del graph.sparse_initializer[:]
    for node in all_nodes(model):
        for attribute in node.attribute:
            if attribute.HasField("sparse_tensor"):
                dense = _dense(attribute.sparse_tensor, f"sparse constant of {label(node)}", limits, total)
                _replace(node, attribute, dense)
                total, count = total + len(dense.raw_data), count + 1
            elif attribute.sparse_tensors:
                raise ModelError(
                    f"{label(node)} holds a list of sparse tensors", remedy="make them dense first"
                )
    return (f"{count} sparse tensors were made dense",) if count else ()


def _replace(node: onnx.NodeProto, attribute: onnx.AttributeProto, dense: onnx.TensorProto) -> None:
    if node.op_type != "Constant" or attribute.name != "sparse_value":
        raise ModelError(f"{label(node)} has a sparse attribute", remedy="make it dense first")
    attribute.ClearField("sparse_tensor")
    attribute.name, attribute.type = "value", onnx.AttributeProto.TENSOR
    attribute.t.CopyFrom(dense)


def _dense(sparse: onnx.SparseTensorProto, place: str, limits: Limits, before: int) -> onnx.TensorProto:
    for tensor in (sparse.values, sparse.indices):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise ModelError(f"{place} has external data", remedy="make it dense first")
        check_tensor(tensor, place, limits)
    elements = count_elements(sparse.dims, place, limits)
    values = numpy_helper.to_array(sparse.values)
    refuse_above(
        before + elements * values.itemsize, limits.dense_bytes, f"dense bytes of {place}", "dense_bytes"
    )
    flat = np.zeros(elements, values.dtype)
    flat[_positions(sparse, values.size, elements, place)] = values.reshape(-1)
    return numpy_helper.from_array(flat.reshape(tuple(sparse.dims)), sparse.values.name)


def _positions(sparse: onnx.SparseTensorProto, count: int, elements: int, place: str) -> np.ndarray:
    """Linear positions of the values, from linear indices or from one row of coordinates for each."""
    indices = numpy_helper.to_array(sparse.indices)
    dims = tuple(sparse.dims)
    if indices.dtype != np.int64 or indices.shape not in {(count,), (count, len(dims))}:
        raise ModelError(f"{place} has indices that do not fit its values", remedy="export the model again")
    if indices.ndim == 2:
        if count and ((indices < 0).any() or (indices >= np.array(dims)).any()):
            raise ModelError(f"{place} has an index outside its dimensions", remedy="export the model again")
        indices = np.ravel_multi_index(tuple(indices.T), dims) if count else indices[:, 0]
    if count and (indices.min() < 0 or indices.max() >= elements or len(np.unique(indices)) != count):
        raise ModelError(
            f"{place} has an index outside its dimensions, or twice", remedy="export the model again"
        )
    return indices
