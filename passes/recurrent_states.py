"""First states of recurrent layers that say nothing: zeros, which is what a layer starts with by itself."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .folding import constant

_LAYERS = frozenset({"LSTM", "GRU", "RNN"})
_FIRST_STATES = (5, 6)


def drop_zero_states(model: ir.Model) -> int:
    """Leave out first states that are zero.

    Exporters write them as a ConstantOfShape or an Expand of the batch's size, which would tie the hidden units
    to a computed shape.

    Args:
        model: Changed in place.

    Returns:
        How many were left out.
    """
    dropped = 0
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.op_type not in _LAYERS or node.domain not in {"", "ai.onnx"}:
            continue
        for index in _FIRST_STATES:
            value = node.inputs[index] if index < len(node.inputs) else None
            if value is not None and _is_zero(value):
                node.replace_input_with(index, None)
                dropped += 1
    return dropped


def _is_zero(value: ir.Value) -> bool:
    array = constant(value)
    if array is not None:
        return not np.any(array)
    maker = value.producer()
    if maker is None or maker.domain not in {"", "ai.onnx"}:
        return False
    if maker.op_type == "ConstantOfShape":
        fill = maker.attributes.get("value")
        return fill is None or not np.any(fill.as_tensor().numpy())
    first = maker.inputs[0] if maker.inputs else None
    passes_on = maker.op_type in {
        "Expand",
        "Identity",
        "Reshape",
        "Squeeze",
        "Unsqueeze",
        "Slice",
        "Transpose",
        "Tile",
    }
    return passes_on and first is not None and _is_zero(first)
