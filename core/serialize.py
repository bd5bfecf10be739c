"""From the graph in memory to bytes, the same bytes every time."""

from __future__ import annotations

import onnx_ir as ir

from .errors import LimitError

PROTOBUF_LIMIT_BYTES = 2**31 - 1
"""A protobuf message holds no more than this; larger models need external data."""


def model_bytes(model: ir.Model) -> bytes:
    """Serialize a model deterministically, weights embedded.

    Raises:
        LimitError: The model needs external data (more than 2 GB).
    """
    weights = sum(
        v.const_value.nbytes for v in model.graph.initializers.values() if v.const_value is not None
    )
    if weights > PROTOBUF_LIMIT_BYTES:
        raise LimitError(
            f"the weights take {weights / 1e9:.1f} GB, one protobuf message holds 2 GB",
            remedy="save the model with external data and work on the file",
        )
    content: bytes = ir.to_proto(model).SerializeToString(deterministic=True)
    return content
