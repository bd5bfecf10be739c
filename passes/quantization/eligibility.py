"""Which nodes could run in integers, and why the others cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import onnx_ir as ir

from ...core.errors import ModelError
from ...core.reports import Skip
from ...core.targets import Target
from ...core.tensors import all_finite
from ..constants import is_mask
from ..folding import constant
from ..globs import first_glob
from .options import QuantizeOptions

Role = Literal["linear", "product", "combine", "unary", "move"]

ROLES: dict[str, Role] = {
    "Conv": "linear",
    "ConvTranspose": "linear",
    "Gemm": "linear",
    "MatMul": "linear",
    "Add": "combine",
    "Mul": "combine",
    "Sub": "combine",
    "Concat": "combine",
    "Sigmoid": "unary",
    "Softmax": "unary",
    "Tanh": "unary",
    "LeakyRelu": "unary",
    "AveragePool": "unary",
    "GlobalAveragePool": "unary",
    "MaxPool": "move",
    "Reshape": "move",
    "Flatten": "move",
    "Squeeze": "move",
    "Unsqueeze": "move",
    "Transpose": "move",
    "Resize": "move",
}
"""How an operator is quantized: ``linear`` with a constant weight, ``product`` of two activations (a MatMul
without a constant), ``combine`` and ``unary`` with parameters of their own for the output, ``move`` with the
input's parameters for the output."""

_MOVES = frozenset(op for op, role in ROLES.items() if role == "move")
_COMPUTED_MOVES = frozenset({"MaxPool", "Resize"})
REARRANGING = _MOVES - _COMPUTED_MOVES
"""Operators that hand on the same elements in another order or shape."""

_RECURRENT = frozenset({"LSTM", "GRU", "RNN"})


def is_named(node: ir.Node, patterns: Sequence[str]) -> bool:
    """Whether a glob pattern matches the node's name."""
    return first_glob([node.name or ""], patterns) is not None


def role_of(node: ir.Node) -> Role:
    """How a node that may be integer is quantized."""
    if node.op_type == "MatMul" and constant(node.inputs[1]) is None:
        return "product"
    return ROLES[node.op_type]


def ineligible(node: ir.Node, target: Target, options: QuantizeOptions) -> Skip | None:
    """Why a node cannot become integer, or None where it can.

    Raises:
        ModelError: Its weight or bias is not finite.
    """
    name, op = node.name or "", node.op_type
    if node.domain not in {"", "ai.onnx"} or op not in ROLES or not _has_kernel(op, target):
        text = "it has no static integer kernel" if op in _RECURRENT else "no integer kernel"
        return Skip(name, None, "recurrent" if op in _RECURRENT else "no-integer-kernel", f"{op}: {text}")
    if is_named(node, options.exclude):
        return Skip(name, None, "excluded", "excluded by the user")
    if options.op_types is not None and op not in options.op_types and op not in _MOVES:
        return Skip(name, None, "op-types", f"{op} is not among the operators asked for")
    read = [o for o in node.outputs if o.uses() or o.is_graph_output()]
    if node.outputs[0].dtype != ir.DataType.FLOAT or any(o is not node.outputs[0] for o in read):
        return Skip(name, None, "type", f"{op} on {node.outputs[0].dtype} or with several outputs")
    checks = {"linear": _linear, "combine": _combine}
    reason = checks.get(role_of(node), _activated)(node)
    return Skip(name, None, "constant", f"{op}: {reason}") if reason else None


def _has_kernel(op: str, target: Target) -> bool:
    return op in target.integer_ops or (op in REARRANGING and bool(target.integer_ops))


def _linear(node: ir.Node) -> str:
    weight = constant(node.inputs[1])
    if constant(node.inputs[0]) is not None:
        return "its first input is constant"
    if weight is None:
        return "its weight is not constant, or a caller may replace it"
    if weight.ndim < 2 or weight.dtype != np.float32:
        return f"its weight has {weight.ndim} dimensions of {weight.dtype}"
    require_finite(node, 1)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is None:
        return ""
    array = constant(bias)
    if array is None:
        return "its bias is not constant"
    require_finite(node, 2)
    fits = array.ndim < 2 or array.shape[0] == 1
    return "" if fits and array.size in {1, output_channels(node)} else "its bias differs between rows"


def _activated(node: ir.Node) -> str:
    return "its first input is constant" if constant(node.inputs[0]) is not None else ""


def _combine(node: ir.Node) -> str:
    constants = [i for i, v in enumerate(node.inputs) if v is not None and v.const_value is not None]
    for index in constants:
        array = constant(node.inputs[index])
        if array is None:
            return "a caller may replace its constant"
        if array.dtype.kind == "f" and is_mask(array):
            return "its constant holds infinities"
        require_finite(node, index)
    if node.op_type == "Concat" and constants:
        return "it joins a constant"
    return "it has no activation" if len(constants) == len(node.inputs) else ""


def require_finite(node: ir.Node, index: int) -> None:
    """Refuse a constant that holds NaN or infinity.

    Args:
        node: Who reads it.
        index: Which of its inputs it is.

    Raises:
        ModelError: It does; it is named.
    """
    value = node.inputs[index]
    array = constant(value)
    if value is not None and array is not None and not all_finite(array):
        raise ModelError(
            f"initializer {value.name!r} of {node.name!r} holds NaN or infinity",
            remedy="repair the weights, or keep the node float with --exclude",
        )


def weight_axis(node: ir.Node) -> int | None:
    """The axis of a weight that holds the output channels; None where a kernel takes only one scale."""
    weight = constant(node.inputs[1])
    assert weight is not None
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        return 1 if node.attributes.get_int("group", 1) == 1 else None
    if node.op_type == "Gemm":
        return 0 if node.attributes.get_int("transB", 0) else 1
    return 1 if weight.ndim == 2 else None


def scale_axis(node: ir.Node, target: Target, options: QuantizeOptions) -> int | None:
    """The axis of a weight along which its scales lie; None where it has one scale."""
    wanted = options.per_channel and node.op_type in target.per_channel_ops
    return weight_axis(node) if wanted else None


def output_channels(node: ir.Node) -> int:
    """Output channels of a node with a constant weight."""
    weight = constant(node.inputs[1])
    assert weight is not None
    if node.op_type == "ConvTranspose":
        return int(weight.shape[1]) * node.attributes.get_int("group", 1)
    axis = weight_axis(node)
    return int(weight.shape[-1 if axis is None else axis])
