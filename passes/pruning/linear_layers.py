"""Convolutions and matrix products with weights of their own, seen as matrices that may be replaced."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ..patches import Window

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LinearLayer:
    """A layer whose outputs are a matrix times what it reads, plus a bias.

    Attributes:
        node: The layer.
        weight: Its weights, which no other node reads.
        out_axis: Their axis along which the outputs lie.
        bias: Its bias, also where an Add behind a MatMul holds it; None where it has none.
        window: How a convolution walks; None for a matrix product.
        sum_behind: The sum of the outputs and another branch that is made before them, by name; empty where none is.
    """

    node: ir.Node
    weight: ir.Value
    out_axis: int
    bias: ir.Value | None
    window: Window | None
    sum_behind: str

    @property
    def channel_axis(self) -> int:
        """The axis of the output along which its channels lie."""
        return -1 if self.window is None else 1

    @property
    def wanted(self) -> str:
        """The value whose rows the layer is fitted to: behind a residual sum, the sum."""
        return self.sum_behind or self.node.outputs[0].name or ""

    @property
    def outputs(self) -> int:
        """How many channels it makes."""
        return int(_content(self.weight).shape[self.out_axis])

    @property
    def blocks(self) -> int:
        """Groups that are solved apart."""
        return 1 if self.window is None else self.window.groups

    @property
    def features(self) -> int:
        """How many inputs one output sums over."""
        array = _content(self.weight)
        return int(array.size // max(array.shape[self.out_axis], 1))

    @property
    def size(self) -> int:
        """How many weights it has."""
        return int(_content(self.weight).size)

    @property
    def channels_last(self) -> npt.NDArray[np.int64]:
        """The order of features in which all channels under one tap of a kernel stand side by side."""
        taps = 1 if self.window is None else int(np.prod(self.window.kernel))
        return np.arange(self.features).reshape(-1, taps).T.ravel()

    @property
    def pattern_shape(self) -> tuple[int, int]:
        """Outputs of a block, and channels that one tap of it reads: what a pattern of zeros has to divide."""
        taps = 1 if self.window is None else int(np.prod(self.window.kernel))
        outputs = _content(self.weight).shape[self.out_axis] // self.blocks
        return int(outputs), self.features // taps

    def bias_within(self) -> Matrix | float:
        """The part of the node's own outputs that is its bias, shape ``(channels,)``; 0 where an Add behind holds it."""
        return 0.0 if self.bias is None or self.bias not in self.node.inputs else _content(self.bias)

    def matrix(self) -> Matrix:
        """The weights, shape ``(blocks, features, outputs of a block)``."""
        moved = np.moveaxis(_content(self.weight), self.out_axis, 0)
        return moved.reshape(self.blocks, len(moved) // self.blocks, -1).transpose(0, 2, 1)

    def replace(self, matrix: Matrix, shift: Matrix) -> None:
        """Write weights back from what :meth:`matrix` gives, and add to the bias."""
        array = _content(self.weight)
        moved = np.moveaxis(array, self.out_axis, 0)
        whole = matrix.transpose(0, 2, 1).reshape(moved.shape)
        _write(self.weight, np.moveaxis(whole, 0, self.out_axis))
        if self.bias is not None:
            _write(self.bias, _content(self.bias) + shift)


def linear_layers(model: ir.Model, names: Collection[str]) -> Iterator[LinearLayer]:
    """The layers of a graph, in its order.

    Args:
        model: The graph.
        names: Only layers whose output is called like one of these.
    """
    order = {node: index for index, node in enumerate(model.graph)}
    for node in list(model.graph):
        if node.domain in {"", "ai.onnx"} and node.op_type in {"Conv", "Gemm", "MatMul"}:
            layer = _layer_of(node, order, names)
            if layer is not None and node.outputs[0].name in names:
                yield layer


def _layer_of(node: ir.Node, order: dict[ir.Node, int], names: Collection[str]) -> LinearLayer | None:
    weight = _own(node.inputs[1])
    if weight is None or node.inputs[0] is None:
        return None
    given = node.inputs[2] if len(node.inputs) > 2 else None
    bias, last = _bias_behind(node) if given is None else (_own(given), node.outputs[0])
    if (given is not None and bias is None) or (bias is not None and _content(bias).ndim != 1):
        return None
    if bias is not None and last.name not in names:
        return None
    behind = _sum_behind(last, order[node], order)
    total = behind if behind in names else ""
    if node.op_type == "Conv":
        return LinearLayer(node, weight, 0, bias, Window.of(node, _content(weight).shape), total)
    if _content(weight).ndim != 2:
        return None
    if node.op_type == "MatMul":
        return LinearLayer(node, weight, 1, bias, None, total)
    scaled = any(node.attributes.get_float(name, 1.0) != 1.0 for name in ("alpha", "beta"))
    if scaled or node.attributes.get_int("transA", 0) == 1:
        return None
    return LinearLayer(node, weight, 0 if node.attributes.get_int("transB", 0) else 1, bias, None, total)


def _bias_behind(node: ir.Node) -> tuple[ir.Value | None, ir.Value]:
    """The constant that an Add gives to a MatMul's outputs, and the value behind it."""
    output = node.outputs[0]
    add = _only_user(output, "Add")
    if node.op_type != "MatMul" or add is None:
        return None, output
    other = _own(add.inputs[1 if add.inputs[0] is output else 0])
    width = _content(node.inputs[1]).shape[-1] if node.inputs[1] is not None else 0
    return (None, output) if other is None or _content(other).shape != (width,) else (other, add.outputs[0])


def _sum_behind(value: ir.Value, place: int, order: dict[ir.Node, int]) -> str:
    """The residual sum that a value goes into, where the other branch is made before the layer."""
    add = _only_user(value, "Add")
    if add is None:
        return ""
    other = add.inputs[1 if add.inputs[0] is value else 0]
    maker = None if other is None else other.producer()
    is_earlier = maker is not None and order.get(maker, place) < place
    same = other is not None and other.shape is not None and other.shape == value.shape
    return (add.outputs[0].name or "") if is_earlier and same else ""


def _only_user(value: ir.Value, kind: str) -> ir.Node | None:
    users = list(value.uses())
    if len(users) != 1 or value.is_graph_output() or users[0].node.op_type != kind:
        return None
    return users[0].node


def _own(value: ir.Value | None) -> ir.Value | None:
    """A float constant that no other node reads, and that is no input of the graph."""
    if value is None or value.const_value is None or not value.is_initializer() or value.is_graph_input():
        return None
    return value if len(value.uses()) == 1 and value.const_value.dtype.is_floating_point() else None


def _content(value: ir.Value | None) -> Matrix:
    assert value is not None
    assert value.const_value is not None
    return np.asarray(value.const_value.numpy(), np.float64)


def _write(value: ir.Value, array: Matrix) -> None:
    assert value.const_value is not None
    dtype = value.const_value.dtype
    content = np.ascontiguousarray(array.astype(dtype.numpy()))
    value.const_value = ir.tensor(content, dtype=dtype, name=value.name)
