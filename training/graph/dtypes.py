"""Element types of ONNX as torch carries them, and the way of a tensor from one to the other."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch

from ...core.tensors import Array

_SAME: dict[ir.DataType, torch.dtype] = {
    ir.DataType.BFLOAT16: torch.bfloat16,
    ir.DataType.BOOL: torch.bool,
    ir.DataType.COMPLEX64: torch.complex64,
    ir.DataType.COMPLEX128: torch.complex128,
    ir.DataType.DOUBLE: torch.float64,
    ir.DataType.FLOAT: torch.float32,
    ir.DataType.FLOAT16: torch.float16,
    ir.DataType.FLOAT8E4M3FN: torch.float8_e4m3fn,
    ir.DataType.FLOAT8E4M3FNUZ: torch.float8_e4m3fnuz,
    ir.DataType.FLOAT8E5M2: torch.float8_e5m2,
    ir.DataType.FLOAT8E5M2FNUZ: torch.float8_e5m2fnuz,
    ir.DataType.INT8: torch.int8,
    ir.DataType.INT16: torch.int16,
    ir.DataType.INT32: torch.int32,
    ir.DataType.INT64: torch.int64,
    ir.DataType.UINT8: torch.uint8,
}
_WIDER: dict[ir.DataType, torch.dtype] = {
    ir.DataType.FLOAT4E2M1: torch.float32,
    ir.DataType.INT2: torch.int8,
    ir.DataType.INT4: torch.int8,
    ir.DataType.UINT2: torch.uint8,
    ir.DataType.UINT4: torch.uint8,
    ir.DataType.UINT16: torch.int32,
    ir.DataType.UINT32: torch.int64,
}
CARRIERS: dict[ir.DataType, torch.dtype] = _SAME | _WIDER
"""The torch type that holds every value of an ONNX type; what torch cannot compute in is held by a wider one."""

WIDER: frozenset[ir.DataType] = frozenset(_WIDER)
"""Types held by a wider one: values are exact, but arithmetic would not wrap where it must."""

TRAINABLE: frozenset[ir.DataType] = frozenset(
    (ir.DataType.BFLOAT16, ir.DataType.DOUBLE, ir.DataType.FLOAT, ir.DataType.FLOAT16)
)
"""Types that an optimizer can move."""

_RAW: dict[ir.DataType, type[np.generic]] = {
    ir.DataType.BFLOAT16: np.uint16,
    ir.DataType.FLOAT8E4M3FN: np.uint8,
    ir.DataType.FLOAT8E4M3FNUZ: np.uint8,
    ir.DataType.FLOAT8E5M2: np.uint8,
    ir.DataType.FLOAT8E5M2FNUZ: np.uint8,
}
"""Types that numpy and torch both have, but only as bits of each other."""


def to_torch(tensor: ir.TensorProtocol) -> torch.Tensor:
    """Copy an ONNX tensor into torch memory, once.

    Args:
        tensor: Of a type in :data:`CARRIERS`.
    """
    return from_array(tensor.numpy(), tensor.dtype)


def from_array(array: Array, dtype: ir.DataType) -> torch.Tensor:
    """Copy an array that holds values of an ONNX type into torch memory.

    Args:
        array: The values; types that numpy lacks are those of ``ml_dtypes``.
        dtype: The ONNX type, one of :data:`CARRIERS`.
    """
    carrier = CARRIERS[dtype]
    if dtype in WIDER:
        small = {ir.DataType.FLOAT4E2M1: np.float32}.get(dtype, np.int64)
        return torch.from_numpy(array.astype(small)).to(carrier)
    copy = np.array(array, order="C", copy=True)
    if dtype not in _RAW:
        return torch.from_numpy(copy)
    flat = copy.reshape(-1).view(_RAW[dtype])
    return torch.from_numpy(flat).view(carrier).reshape(array.shape)


def to_array(tensor: torch.Tensor, dtype: ir.DataType) -> Array:
    """Copy a torch tensor into an array of an ONNX type.

    Args:
        tensor: The values, on any device and in any memory format.
        dtype: The ONNX type whose values it carries.
    """
    own = tensor.detach().to("cpu").contiguous()
    kind = dtype.numpy()
    if dtype not in _RAW:
        return np.array(own.numpy()).astype(kind)
    raw = torch.uint8 if own.element_size() == 1 else torch.uint16
    flat = np.array(own.reshape(-1).view(raw).numpy())
    return flat.view(kind).reshape(tuple(own.shape))
