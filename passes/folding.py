"""Folding what follows a linear operator, where it is exact: ``y = (W x + b) * s + t`` becomes ``W' x + b'``.

BatchNormalization in inference form and Add, Sub, Mul and Div by a constant for each channel are all the same
affine map of the output channels, so one rule serves Conv, ConvTranspose and Gemm. The new weights are computed
in double precision and rounded once to the model's type.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ..core.reports import Change, Skip
from ..core.tensors import Array

_LINEAR = frozenset({"Conv", "ConvTranspose", "Gemm"})
_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div"})
_Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Affine:
    """``y = x * scale + shift`` for each output channel of ``linear``, shapes ``(channels,)``."""

    linear: ir.Node
    scale: _Vector
    shift: _Vector


def fold_affine(model: ir.Model) -> tuple[list[Change], list[Skip]]:
    """Fold normalizations and channel-wise constants into the linear operator before them.

    Args:
        model: Changed in place.

    Returns:
        What was folded, and each BatchNormalization that was not, with the reason.
    """
    changes: list[Change] = []
    skips: list[Skip] = []
    for node in list(ir.traversal.RecursiveGraphIterator(model.graph)):
        if node.domain not in {"", "ai.onnx"}:
            continue
        affine = _affine_of(node)
        reason = affine if isinstance(affine, str) else _apply(node, affine)
        if not reason and isinstance(affine, _Affine):
            changes.append(Change(affine.linear.name or "", "folded", node.op_type, affine.linear.op_type))
        elif node.op_type == "BatchNormalization":
            skips.append(Skip(node.name or "", None, "not-folded", reason))
    return changes, skips


def _affine_of(node: ir.Node) -> _Affine | str:
    """The affine map that a node is, or why it is none that can be folded."""
    if node.op_type == "BatchNormalization":
        return _batch_normalization(node)
    if node.op_type in _ARITHMETIC and len(node.inputs) == 2:
        return _arithmetic(node)
    return "not an affine operator"


def _batch_normalization(node: ir.Node) -> _Affine | str:
    if node.attributes.get_int("training_mode", 0) or any(v.uses() for v in node.outputs[1:]):
        return "it is in training mode"
    if not node.attributes.get_int("spatial", 1):
        return "it normalizes each position apart"
    linear = _linear_before(node.inputs[0])
    if isinstance(linear, str):
        return linear
    tensors = [constant(v) for v in node.inputs[1:5]]
    known = [t.astype(np.float64) for t in tensors if t is not None]
    if len(known) != 4:
        return "its parameters are not constant"
    gamma, beta, mean, variance = known
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = gamma / np.sqrt(variance + node.attributes.get_float("epsilon", 1e-5))
    return _Affine(linear, scale, beta - mean * scale)


def _arithmetic(node: ir.Node) -> _Affine | str:
    values = [constant(v) for v in node.inputs]
    sides = [i for i, v in enumerate(values) if v is not None]
    if len(sides) != 1:
        return "it has no constant operand"
    linear = _linear_before(node.inputs[1 - sides[0]])
    if isinstance(linear, str):
        return linear
    vector = _per_channel(values[sides[0]], linear)
    if vector is None:
        return "its constant differs within a channel"
    one, zero = np.ones_like(vector), np.zeros_like(vector)
    if node.op_type == "Add":
        return _Affine(linear, one, vector)
    if node.op_type == "Mul":
        return _Affine(linear, vector, zero)
    if node.op_type == "Sub":
        return _Affine(linear, one, -vector) if sides[0] == 1 else _Affine(linear, -one, vector)
    if sides[0] == 0:
        return "it divides a constant"
    with np.errstate(divide="ignore"):
        return _Affine(linear, one / vector, zero)


def _linear_before(value: ir.Value | None) -> ir.Node | str:
    """The linear operator that alone makes a value, with a constant weight of its own."""
    linear = None if value is None else value.producer()
    if (
        value is None
        or linear is None
        or linear.op_type not in _LINEAR
        or linear.domain not in {"", "ai.onnx"}
    ):
        return (
            f"its input comes from {'an input' if linear is None else linear.op_type}, not a linear operator"
        )
    if len(value.uses()) != 1 or value.is_graph_output():
        return f"the output of {linear.name} is used elsewhere too"
    weight = linear.inputs[1]
    if constant(weight) is None or len(weight.uses()) != 1:  # type: ignore[union-attr]
        return f"the weight of {linear.name} is shared or not constant"
    bias = linear.inputs[2] if len(linear.inputs) > 2 else None
    if bias is not None and constant(bias) is None:
        return f"the bias of {linear.name} is not constant"
    return linear


def constant(value: ir.Value | None) -> Array | None:
    """The contents of a value that nobody can change at run time, or None."""
    if value is None or value.const_value is None or not value.is_initializer():
        return None
    return None if value.is_graph_input() or value.is_graph_output() else value.const_value.numpy()


def _per_channel(array: Array | None, linear: ir.Node) -> _Vector | None:
    """A constant as one number for each output channel, or None where it is more than that."""
    rank = 2 if linear.op_type == "Gemm" else constant(linear.inputs[1]).ndim  # type: ignore[union-attr]
    channels = _channels(linear)
    if array is None or array.ndim > rank or array.dtype.kind not in "fV":
        return None
    shape = (1,) * (rank - array.ndim) + array.shape
    if any(d != 1 for axis, d in enumerate(shape) if axis != 1) or shape[1] not in {1, channels}:
        return None
    return np.broadcast_to(array.reshape(-1).astype(np.float64), (channels,)).copy()


def _channels(linear: ir.Node) -> int:
    weight = constant(linear.inputs[1])
    assert weight is not None
    if linear.op_type == "Conv":
        return int(weight.shape[0])
    if linear.op_type == "ConvTranspose":
        return int(weight.shape[1]) * linear.attributes.get_int("group", 1)
    return int(weight.shape[0 if linear.attributes.get_int("transB", 0) else 1])


def _apply(node: ir.Node, affine: _Affine) -> str:
    """Put the map into the linear operator and take the node away; a reason where that is not possible."""
    linear, channels = affine.linear, _channels(affine.linear)
    weight = linear.inputs[1]
    assert weight is not None
    array, bias = constant(weight), _bias(linear, channels)
    if bias is None or affine.scale.size != channels or array is None:
        return "the bias or the parameters do not have one number for each channel"
    with np.errstate(over="ignore", invalid="ignore"):
        new_weight = (array * _spread(affine.scale, linear, array)).astype(array.dtype)
        new_bias = (bias * affine.scale + affine.shift).astype(array.dtype)
    if not (np.isfinite(new_weight).all() and np.isfinite(new_bias).all()):
        return "the folded weights would not be finite"
    weight.const_value = ir.tensor(new_weight, name=weight.name)
    if new_bias.any() or len(linear.inputs) > 2:
        _set_bias(linear, new_bias)
    _bypass(node, linear.outputs[0])
    return ""


def _bias(linear: ir.Node, channels: int) -> _Vector | None:
    """What the operator adds to each channel, shape ``(channels,)``."""
    value = linear.inputs[2] if len(linear.inputs) > 2 else None
    if value is None:
        return np.zeros(channels)
    array = constant(value)
    if array is None or array.size not in {1, channels} or (array.ndim == 2 and array.shape[0] != 1):
        return None
    beta = linear.attributes.get_float("beta", 1.0) if linear.op_type == "Gemm" else 1.0
    return np.broadcast_to(array.reshape(-1).astype(np.float64) * beta, (channels,)).copy()


def _spread(scale: _Vector, linear: ir.Node, weight: Array) -> npt.NDArray[np.float64]:
    """The scale of each channel, shaped to multiply the weight."""
    if linear.op_type == "Conv":
        return scale.reshape(-1, *(1,) * (weight.ndim - 1))
    if linear.op_type == "Gemm":
        return scale.reshape((-1, 1) if linear.attributes.get_int("transB", 0) else (1, -1))
    group = linear.attributes.get_int("group", 1)
    rows = np.repeat(scale.reshape(group, -1), weight.shape[0] // group, axis=0)
    return rows.reshape(*rows.shape, *(1,) * (weight.ndim - 2))


def _set_bias(linear: ir.Node, array: Array) -> None:
    """Give the operator a bias of its own."""
    graph = linear.graph
    assert isinstance(graph, ir.Graph)
    weight = linear.inputs[1]
    name = f"{weight.name if weight is not None else linear.name}_bias"
    while name in graph.initializers:
        name += "_"
    value = ir.Value(
        name=name,
        type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
        shape=ir.Shape(array.shape),
        const_value=ir.tensor(array, name=name),
    )
    graph.register_initializer(value)
    linear.resize_inputs(3)
    linear.replace_input_with(2, value)
    if linear.op_type == "Gemm":
        linear.attributes.pop("beta", None)


def _bypass(node: ir.Node, source: ir.Value) -> None:
    """Let the users of a node's output use ``source``, which takes over its name where it is a graph output."""
    output, graph = node.outputs[0], node.graph
    assert isinstance(graph, ir.Graph)
    name, shape, kind = output.name, output.shape, output.type
    is_result = output.is_graph_output()
    ir.convenience.replace_all_uses_with(output, source, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    if is_result:
        source.name, source.shape, source.type = name, shape, kind
