"""From one element type to another."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
import torch

from ..dtypes import CARRIERS
from ..plan import Kernel, NodePlan

Tensor = torch.Tensor
Convert = Callable[[Tensor], Tensor]

_UNSIGNED_BITS = {ir.DataType.UINT2: 2, ir.DataType.UINT4: 4, ir.DataType.UINT16: 16, ir.DataType.UINT32: 32}
_SIGNED_BITS = {ir.DataType.INT2: 2, ir.DataType.INT4: 4}

LARGEST: dict[torch.dtype, float] = {
    torch.float8_e4m3fn: 448.0,
    torch.float8_e4m3fnuz: 240.0,
    torch.float8_e5m2: 57344.0,
    torch.float8_e5m2fnuz: 57344.0,
}
"""The largest value of each float of eight bits."""

_LAST_ROUNDED_DOWN = 464.0
"""From above this, a float8_e4m3fn would have to be infinite, which it cannot be."""


def wanted_type(node: NodePlan, name: str) -> ir.DataType:
    """The type that an attribute states.

    Raises:
        ModelError: torch does not have it.
    """
    dtype = ir.DataType(node.integer(name, 0))
    if dtype not in CARRIERS:
        node.refuse(f"torch does not have the type {dtype.name.lower()}")
    return dtype


def cast(node: NodePlan) -> Kernel:
    """Cast."""
    return _converter(wanted_type(node, "to"), saturates=bool(node.integer("saturate", 1)))


def cast_like(node: NodePlan) -> Kernel:
    """CastLike; where the graph does not state the type, it is that of the tensor."""
    dtype, saturates = node.dtype(1), bool(node.integer("saturate", 1))
    if dtype is None:
        return lambda x, like: _to_carrier(x, like.dtype, saturates=saturates)
    kernel = _converter(dtype, saturates=saturates)
    return lambda x, _: kernel(x)


def to_four_bit_float(x: Tensor) -> Tensor:
    """The nearest of 0, 0.5, 1, 1.5, 2, 3, 4 and 6, ties to the even one; held by floats."""
    size = x.abs()
    small, middle = (size * 2).round() / 2, size.round()
    large = (size / 2).round() * 2
    near = torch.where(size < 2, small, torch.where(size < 4, middle, large)).clamp(max=6.0)
    return torch.copysign(near, x)


def _converter(dtype: ir.DataType, *, saturates: bool) -> Convert:
    """Converts to a type; integers that a wider type carries wrap as theirs would."""
    carrier = CARRIERS[dtype]
    if dtype in _UNSIGNED_BITS:
        mask = 2 ** _UNSIGNED_BITS[dtype] - 1
        return lambda x: (x.to(torch.int64) & mask).to(carrier)
    if dtype in _SIGNED_BITS:
        half = 2 ** (_SIGNED_BITS[dtype] - 1)
        return lambda x: ((x.to(torch.int64) + half).remainder(2 * half) - half).to(carrier)
    if dtype == ir.DataType.FLOAT4E2M1:
        return lambda x: to_four_bit_float(x.to(torch.float32))
    return lambda x: _to_carrier(x, carrier, saturates=saturates)


def _to_carrier(x: Tensor, carrier: torch.dtype, *, saturates: bool) -> Tensor:
    if carrier == torch.bool:
        return x != 0
    if carrier in LARGEST and saturates:
        x = x.float().clamp(-LARGEST[carrier], LARGEST[carrier])
    elif carrier == torch.float8_e4m3fn:
        x = torch.where(x.abs() > _LAST_ROUNDED_DOWN, float("nan"), x.float())
    return x.to(carrier)
