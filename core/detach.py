"""Turning a graph in memory into a message without copying its large weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import onnx
import onnx_ir as ir

LOCATION = "detached"
"""What stands as the data file of a weight that is kept beside the message."""

_LARGE_ELEMENTS = 1 << 20
"""Weights of more elements are hashed as they lie in memory."""


def detached_proto(
    model: ir.Model, above_elements: int
) -> tuple[onnx.ModelProto, dict[str, ir.TensorProtocol]]:
    """Serialize a graph, keeping large initializers of the main graph out of the message.

    Args:
        model: The graph; left as it is.
        above_elements: Initializers with more elements than this are kept out.

    Returns:
        The message, in which those initializers are external data without a file, and their tensors by name.
    """
    initializers = model.graph.initializers
    kept = {
        name: value.const_value
        for name, value in initializers.items()
        if value.const_value is not None and _is_large(value.const_value, above_elements)
    }
    with _stubs(model, kept):
        return ir.to_proto(model), kept


def attach(model: ir.Model, weights: Mapping[str, ir.TensorProtocol]) -> None:
    """Give initializers of the main graph their contents back."""
    for name, tensor in weights.items():
        model.graph.initializers[name].const_value = tensor


def _is_large(tensor: ir.TensorProtocol, above_elements: int) -> bool:
    return tensor.dtype != ir.DataType.STRING and tensor.size > above_elements


@contextmanager
def _stubs(model: ir.Model, kept: Mapping[str, ir.TensorProtocol]) -> Iterator[None]:
    attach(model, {name: _stub(name, tensor) for name, tensor in kept.items()})
    try:
        yield
    finally:
        attach(model, kept)


def _stub(name: str, tensor: ir.TensorProtocol) -> ir.ExternalTensor:
    return ir.ExternalTensor(
        LOCATION, None, None, tensor.dtype, shape=ir.Shape(list(tensor.shape.numpy())), name=name
    )


def model_digest(model: ir.Model) -> str:
    """SHA-256 of a graph and its weights, which together may be larger than a message.

    Args:
        model: The graph; left as it is.
    """
    message, weights = detached_proto(model, _LARGE_ELEMENTS)
    digest = hashlib.sha256(message.SerializeToString(deterministic=True))
    for name, tensor in weights.items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.numpy()).view(np.uint8).data)
    return digest.hexdigest()
