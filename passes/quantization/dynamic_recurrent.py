"""An LSTM with int8 weights, as ``com.microsoft.DynamicQuantizeLSTM``.

The kernel wants its weights transposed, ``(directions, inputs, 4 * hidden)``, and quantizes input and state in every
step. For GRU and RNN there is none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...core.reports import Skip
from ...core.tensors import Array
from ..constants import add_constant
from ..folding import constant
from .constant_products import graph_of, put_in_place
from .dynamic_nodes import round_weight
from .eligibility import is_named, require_finite
from .weight_errors import WeightError, sqnr_db

RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
"""Recurrent layers."""

_KERNEL_ATTRIBUTES = frozenset(
    {"activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size", "input_forget"}
)
_INPUTS = 8
_WEIGHTS = (1, 2)


def why_no_lstm(node: ir.Node, exclude: Sequence[str], asked: bool) -> Skip | None:
    """Why a recurrent layer cannot be made dynamic, or None.

    Raises:
        ModelError: A weight is not finite.
    """
    name = node.name or ""
    if is_named(node, exclude):
        return Skip(name, None, "excluded", "excluded by the user")
    if node.op_type != "LSTM":
        return Skip(name, None, "no-kernel", f"ONNX Runtime has no integer kernel for {node.op_type}")
    if not asked:
        return Skip(name, None, "not-asked", "LSTM was not asked for")
    if node.attributes.get_int("layout", 0):
        return Skip(name, None, "layout", "the integer kernel knows only layout 0, time before batch")
    for index in _WEIGHTS:
        weight = constant(node.inputs[index])
        if weight is None or weight.dtype != np.float32:
            return Skip(name, None, "constant", "its weights are not float32 constants")
        require_finite(node, index)
    return None


def replace_lstm(node: ir.Node, *, per_channel: bool, reduce_range: bool) -> WeightError:
    """Put the integer layer in the place of an LSTM.

    Args:
        node: One that :func:`why_no_lstm` has nothing against.
        per_channel: Whether each row of the weights has a scale; otherwise each direction has one.
        reduce_range: Whether the integers keep to 7 bits.
    """
    graph = graph_of(node)
    inputs = [*node.inputs, *(None,) * (_INPUTS - len(node.inputs))]
    errors, size = [], 0
    for index, part in zip(_WEIGHTS, "WR", strict=True):
        weight = constant(node.inputs[index])
        assert weight is not None
        values, scale = _rounded(weight, per_channel=per_channel, reduce_range=reduce_range)
        restored = values * (scale[:, None, :] if per_channel else scale[:, None, None])
        errors.append((weight, restored.transpose(0, 2, 1)))
        size += values.nbytes + scale.nbytes
        stem = f"{node.name}.{part}"
        inputs[index] = add_constant(graph, f"{stem}_quantized", values)
        inputs.append(add_constant(graph, f"{stem}_scale", scale))
        inputs.append(add_constant(graph, f"{stem}_zero_point", np.zeros(scale.shape, np.int8)))
    attributes = {name: a for name, a in node.attributes.items() if name in _KERNEL_ATTRIBUTES}
    layer = ir.node(
        "DynamicQuantizeLSTM",
        inputs,
        attributes=attributes,
        domain="com.microsoft",
        version=1,
        num_outputs=len(node.outputs),
        name=node.name,
    )
    put_in_place(node, [layer])
    exact, rounded = (np.concatenate([pair[i].reshape(-1) for pair in errors]) for i in (0, 1))
    return WeightError(layer.name or "", sqnr_db(exact, rounded), size)


def _rounded(
    weight: Array, *, per_channel: bool, reduce_range: bool
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Integers of shape ``(directions, inputs, rows)``, scales of ``(directions, rows)`` or ``(directions,)``."""
    directions, rows, inputs = weight.shape
    lines = weight.reshape(directions * rows, inputs) if per_channel else weight.reshape(directions, -1)
    rounded = round_weight(lines, 0, reduce_range=reduce_range)
    values = np.ascontiguousarray(rounded.values.reshape(weight.shape).transpose(0, 2, 1))
    scale = rounded.scale.reshape((directions, rows) if per_channel else (directions,))
    return values, scale
