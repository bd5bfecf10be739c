"""Quantization: exact values on the way forward, and gradients as if nothing had been rounded on the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import torch

from ..dtypes import CARRIERS
from ..plan import Kernel, NodePlan
from .conversion import LARGEST, to_four_bit_float, wanted_type
from .convolution import conv

Tensor = torch.Tensor

RANGES: dict[ir.DataType, tuple[int, int]] = {
    ir.DataType.INT2: (-2, 1),
    ir.DataType.INT4: (-8, 7),
    ir.DataType.INT8: (-128, 127),
    ir.DataType.INT16: (-32768, 32767),
    ir.DataType.INT32: (-(2**31), 2**31 - 1),
    ir.DataType.UINT2: (0, 3),
    ir.DataType.UINT4: (0, 15),
    ir.DataType.UINT8: (0, 255),
    ir.DataType.UINT16: (0, 65535),
}
"""The least and the largest value of each integer type that is quantized to."""


class _Rounded(torch.autograd.Function):
    """Rounds half to even; the gradient passes as it is (Bengio et al. 2013, arXiv:1308.3432)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def round_through(x: Tensor) -> Tensor:
    """Round half to even, with the gradient of the identity."""
    rounded: Tensor = _Rounded.apply(x)  # type: ignore[no-untyped-call]
    return rounded


def quantize_linear(node: NodePlan) -> Kernel:
    """QuantizeLinear: ``saturate(round(x / scale) + zero_point)``.

    The gradient passes where nothing saturates, for the scale too, which makes it that of learned step sizes
    (Esser et al. 2020, arXiv:1902.08153, equations 2 and 3). Where only DequantizeLinear reads the result it
    stays of the input's type, so that there is a gradient at all; otherwise it is of the stated integer type.
    """
    dtype = _quantized_type(node)
    if dtype not in RANGES:
        return _quantize_float(node, dtype)
    axis, block, (low, high) = node.integer("axis", 1), node.integer("block_size", 0), RANGES[dtype]
    stays = _is_only_dequantized(node.node.outputs[0])
    carrier = CARRIERS[dtype]
    precise = CARRIERS[wanted_type(node, "precision")] if node.integer("precision", 0) else None

    def kernel(x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
        x = x if x.is_floating_point() else x.to(scale.dtype)
        spread = _spread(scale, x, axis, block)
        y = round_through(x / spread if precise is None else x.to(precise) / spread.to(precise))
        if zero is not None:
            y = y + _spread(zero, x, axis, block).to(y.dtype)
        y = y.clamp(low, high)
        return y if stays else y.to(carrier)

    return kernel


def dequantize_linear(node: NodePlan) -> Kernel:
    """DequantizeLinear: ``(x - zero_point) * scale``."""
    axis, block = node.integer("axis", 1), node.integer("block_size", 0)
    wanted = CARRIERS[wanted_type(node, "output_dtype")] if node.integer("output_dtype", 0) else None

    def kernel(x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
        spread = _spread(scale, x, axis, block)
        if zero is not None:
            shift = _spread(zero, x, axis, block)
            x = x - shift.to(x.dtype) if x.is_floating_point() and x.element_size() > 1 else _less(x, shift)
        y = x.to(spread.dtype) * spread
        return y if wanted is None else y.to(wanted)

    return kernel


def _less(x: Tensor, shift: Tensor) -> Tensor:
    if x.is_floating_point():
        return x.float() - shift.float()
    return x.to(torch.int64) - shift.to(torch.int64)


def _spread(numbers: Tensor, x: Tensor, axis: int, block: int) -> Tensor:
    """Bring a scale or a zero point to where it can be broadcast to its tensor."""
    if numbers.numel() == 1 and not block:
        return numbers.reshape(())
    at = axis % x.dim()
    if block and numbers.dim() == x.dim():
        return numbers.repeat_interleave(block, at).narrow(at, 0, x.shape[at])
    return numbers.reshape(-1, *(1,) * (x.dim() - at - 1))


def _quantized_type(node: NodePlan) -> ir.DataType:
    stated = node.integer("output_dtype", 0)
    if stated:
        return ir.DataType(stated)
    if not node.has(2):
        return ir.DataType.UINT8
    dtype = node.dtype(2)
    if dtype is None:
        node.refuse("the graph does not state the type to quantize to")
    return dtype


def _is_only_dequantized(value: ir.Value) -> bool:
    uses = value.uses()
    return (
        bool(uses)
        and not value.is_graph_output()
        and all(use.node.op_type == "DequantizeLinear" and use.idx == 0 for use in uses)
    )


def _quantize_float(node: NodePlan, dtype: ir.DataType) -> Kernel:
    """To a float of four or eight bits; always saturating."""
    carrier = CARRIERS.get(dtype)
    most = 6.0 if dtype == ir.DataType.FLOAT4E2M1 else LARGEST.get(carrier) if carrier else None
    if most is None or carrier is None or not node.integer("saturate", 1):
        node.refuse(f"quantization to {dtype.name.lower()} is not supported")
    axis, block, stays = (
        node.integer("axis", 1),
        node.integer("block_size", 0),
        _is_only_dequantized(node.node.outputs[0]),
    )

    def kernel(x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
        y = (x / _spread(scale, x, axis, block)).clamp(-most, most)
        near = to_four_bit_float(y.detach()) if most == 6.0 else y.detach().to(carrier)
        return y + (near.to(y.dtype) - y.detach()) if stays else near.to(carrier)

    return kernel


def dynamic_quantize_linear(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """DynamicQuantizeLinear: to uint8, over the range of the tensor at hand and zero."""
    low, high = x.min().clamp(max=0.0), x.max().clamp(min=0.0)
    scale = (high - low) / 255.0
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    zero = (-low / scale).clamp(0, 255).round()
    return ((x / scale).round() + zero).clamp(0, 255).to(torch.uint8), scale, zero.to(torch.uint8)


def matmul_integer(
    a: Tensor, b: Tensor, zero_a: Tensor | None = None, zero_b: Tensor | None = None
) -> Tensor:
    """MatMulInteger; doubles hold every sum that an int32 holds."""
    return (_shifted_rows(a, zero_a) @ _shifted(b, zero_b)).to(torch.int32)


def qlinear_matmul(
    a: Tensor,
    scale_a: Tensor,
    zero_a: Tensor,
    b: Tensor,
    scale_b: Tensor,
    zero_b: Tensor,
    scale: Tensor,
    zero: Tensor,
) -> Tensor:
    """QLinearMatMul."""
    product = _shifted_rows(a, zero_a) @ _shifted(b, zero_b)
    left = scale_a.double().unsqueeze(-1) if scale_a.numel() > 1 else scale_a.double().reshape(())
    return _requantized(product, left * scale_b.double() / scale.double(), zero)


def conv_integer(node: NodePlan) -> Kernel:
    """ConvInteger."""
    inner = conv(node)

    def kernel(x: Tensor, w: Tensor, zero_x: Tensor | None = None, zero_w: Tensor | None = None) -> Tensor:
        sums: Tensor = inner(_shifted(x, zero_x), _shifted_channels(w, zero_w))
        return sums.to(torch.int32)

    return kernel


def qlinear_conv(node: NodePlan) -> Kernel:
    """QLinearConv; scale and zero point of the weight may be those of an output channel."""
    inner = conv(node)

    def kernel(
        x: Tensor, scale_x: Tensor, zero_x: Tensor, w: Tensor, scale_w: Tensor, zero_w: Tensor, *rest: Any
    ) -> Tensor:
        scale, zero, bias = (*rest, None)[:3]
        sums = inner(
            _shifted(x, zero_x), _shifted_channels(w, zero_w), None if bias is None else bias.double()
        )
        channels = (
            scale_w.double().reshape(-1, *(1,) * (w.dim() - 2)) if scale_w.numel() > 1 else scale_w.double()
        )
        return _requantized(sums, scale_x.double() * channels / scale.double(), zero)

    return kernel


def _requantized(sums: Tensor, factor: Tensor, zero: Tensor) -> Tensor:
    limits = torch.iinfo(zero.dtype)
    return ((sums * factor).round() + zero.double()).clamp(limits.min, limits.max).to(zero.dtype)


def _shifted(x: Tensor, zero: Tensor | None) -> Tensor:
    return x.double() if zero is None else x.double() - zero.double()


def _shifted_rows(x: Tensor, zero: Tensor | None) -> Tensor:
    per_row = zero is not None and zero.dim() == 1 and zero.numel() > 1
    return _shifted(x, zero.unsqueeze(-1) if per_row and zero is not None else zero)


def _shifted_channels(w: Tensor, zero: Tensor | None) -> Tensor:
    per_channel = zero is not None and zero.numel() > 1
    return _shifted(w, zero.reshape(-1, *(1,) * (w.dim() - 1)) if per_channel and zero is not None else zero)


def qlinear_unary(function: Callable[[NodePlan], Callable[[Tensor], Tensor]]) -> Callable[[NodePlan], Kernel]:
    """The plan of an operator of com.microsoft that works on quantized elements."""

    def plan(node: NodePlan) -> Kernel:
        inner = function(node)

        def kernel(x: Tensor, scale_x: Tensor, zero_x: Tensor | None, scale: Tensor, zero: Tensor) -> Tensor:
            return _quantized(inner(_real(x, scale_x, zero_x)), scale, zero)

        return kernel

    return plan


def qlinear_binary(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[NodePlan], Kernel]:
    """The plan of QLinearAdd and QLinearMul of com.microsoft."""

    def kernel(
        a: Tensor,
        scale_a: Tensor,
        zero_a: Tensor,
        b: Tensor,
        scale_b: Tensor,
        zero_b: Tensor,
        scale: Tensor,
        zero: Tensor,
    ) -> Tensor:
        return _quantized(function(_real(a, scale_a, zero_a), _real(b, scale_b, zero_b)), scale, zero)

    return lambda node: kernel


def _real(x: Tensor, scale: Tensor, zero: Tensor | None) -> Tensor:
    return _shifted(x, zero).to(scale.dtype) * scale


def _quantized(x: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    limits = torch.iinfo(zero.dtype)
    return ((x / scale).round() + zero.to(x.dtype)).clamp(limits.min, limits.max).to(zero.dtype)
