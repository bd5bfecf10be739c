"""Quantized operators: their float counterparts' rules, with a scale and a zero-point beside each tensor."""

from __future__ import annotations

import onnx_ir as ir

from ..emitter import Emitter, FreezeError
from . import convolution, product
from .elementwise import tie_broadcast


class _Shifted(Emitter):
    """Shows a rule the inputs it knows, where scales and zero-points stand between them.

    Args:
        e: What the rule writes to.
        places: For each input that the rule asks for, where it is.
    """

    def __init__(self, e: Emitter, places: dict[int, int]) -> None:
        super().__init__(e.node, e.space)
        self.out, self.places = e.out, places

    def input(self, index: int) -> ir.Value | None:
        """An input by the number that the float operator gives it."""
        return super().input(self.places[index]) if index in self.places else None


def conv_integer(node: ir.Node, e: Emitter, option: int) -> None:
    """``ConvInteger(x, w, x_zero, w_zero)``: as Conv; a zero-point for each channel follows ``w``'s first axis."""
    convolution.conv(node, _Shifted(e, {0: 0, 1: 1}), option)
    _per_channel(e, e.need(1), 0, (3,))


def qlinear_conv(node: ir.Node, e: Emitter, option: int) -> None:
    """``QLinearConv(x, xs, xz, w, ws, wz, ys, yz, B)``."""
    convolution.conv(node, _Shifted(e, {0: 0, 1: 3, 2: 8}), option)
    _per_channel(e, e.need(3), 0, (4, 5))


def conv_options(node: ir.Node, e: Emitter) -> int:
    """As those of a float convolution."""
    return convolution.conv_options(node, _Shifted(e, {0: 0, 1: 1 if node.op_type == "ConvInteger" else 3}))


def matmul_integer(node: ir.Node, e: Emitter, option: int) -> None:
    """``MatMulInteger(A, B, A_zero, B_zero)``; a zero-point for each column follows ``B``'s last axis."""
    product.matmul(node, _Shifted(e, {0: 0, 1: 1}), option)
    _per_channel(e, e.need(1), -1, (3,))


def qlinear_matmul(node: ir.Node, e: Emitter, option: int) -> None:
    """``QLinearMatMul(a, as, az, b, bs, bz, ys, yz)``."""
    product.matmul(node, _Shifted(e, {0: 0, 1: 3}), option)
    _per_channel(e, e.need(3), -1, (4, 5))


def qlinear_binary(node: ir.Node, e: Emitter, option: int) -> None:
    """``QLinearAdd`` and ``QLinearMul(A, As, Az, B, Bs, Bz, Cs, Cz)``: broadcasting."""
    tie_broadcast(e, [e.need(0), e.need(3)], node.outputs[0])


def dynamic_quantize(node: ir.Node, e: Emitter, option: int) -> None:
    """``DynamicQuantizeLinear(x)``: its range runs over all lanes, and would change with a cut."""
    source = e.need(0)
    for axis in range(len(e.dims(source))):
        e.tie_axes(source, axis, node.outputs[0], axis)
        e.pin_axis(source, axis, "all-lanes", "its range depends on every lane")


def _per_channel(e: Emitter, weight: ir.Value, axis: int, indices: tuple[int, ...]) -> None:
    """Scales and zero-points with one number for each channel follow the weight's axis."""
    for index in indices:
        value = e.input(index)
        if value is None or not e.dims(value) or e.dims(value) == (1,):
            continue
        if len(e.dims(value)) > 1:
            raise FreezeError("blocked", f"{value.name} covers blocks of the weight")
        e.tie_axes(value, 0, weight, axis)
