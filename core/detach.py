"""Large weights beside a message instead of in it, and back: whoever writes or parses a message copies all that it holds."""

from __future__ import annotations

import hashlib
import sys
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


def embed(tensor: onnx.TensorProto, content: bytes) -> None:
    """Put its contents into the message of a tensor that was kept outside."""
    del tensor.external_data[:]
    tensor.ClearField("data_location")
    tensor.raw_data = content


def embedded(message: bytes, weights: Mapping[str, ir.TensorProtocol]) -> bytes:
    """The message of a model with the weights in it that are kept beside.

    Args:
        message: The message.
        weights: Contents of initializers of the main graph, by name.
    """
    model = onnx.ModelProto.FromString(message)
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            embed(tensor, weights[tensor.name].tobytes())
    whole: bytes = model.SerializeToString(deterministic=True)
    return whole


def raw_bytes(tensor: ir.TensorProtocol) -> bytes | memoryview:
    """The bytes of a tensor as a file holds them; no copy where they lie in memory like that."""
    if tensor.dtype.bitwidth < 8 or sys.byteorder == "big":
        return tensor.tobytes()
    return np.ascontiguousarray(tensor.numpy()).reshape(-1).view(np.uint8).data


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
        digest.update(raw_bytes(tensor))
    return digest.hexdigest()
