"""What a stored tensor declares against what it holds: dimensions, element type, bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx
import onnx_ir as ir
from onnx import TensorProto

from .errors import ModelError
from .limits import Limits, refuse_above

INT64_MAX = 2**63 - 1

_FIELDS: dict[str, frozenset[int]] = {
    "float_data": frozenset({TensorProto.FLOAT, TensorProto.COMPLEX64}),
    "double_data": frozenset({TensorProto.DOUBLE, TensorProto.COMPLEX128}),
    "int64_data": frozenset({TensorProto.INT64}),
    "uint64_data": frozenset({TensorProto.UINT32, TensorProto.UINT64}),
    "string_data": frozenset({TensorProto.STRING}),
}
"""Which element types each typed field holds; ``int32_data`` holds the others."""

_COMPLEX = frozenset({TensorProto.COMPLEX64, TensorProto.COMPLEX128})


def declared_elements(tensor: onnx.TensorProto, place: str, limits: Limits) -> int:
    """The number of elements that the dimensions declare, in Python's integers.

    Raises:
        ModelError: A dimension is negative, or the bytes of so many elements overflow 64 bits.
        LimitError: The product is above the limit.
    """
    return count_elements(tensor.dims, place, limits)


def count_elements(dims: Sequence[int], place: str, limits: Limits) -> int:
    """Multiply dimensions; see :func:`declared_elements`."""
    if any(d < 0 for d in dims):
        raise ModelError(
            f"{place} declares a negative dimension {_shown(dims)}", remedy="export the model again"
        )
    count = math.prod(d for d in dims if d)
    if count > INT64_MAX // 8:
        raise ModelError(
            f"{place} declares dimensions whose bytes overflow 64 bits", remedy="export the model again"
        )
    refuse_above(count, limits.tensor_elements, f"elements of {place}", "tensor_elements")
    return 0 if 0 in dims else count


def stored_bytes(tensor: onnx.TensorProto, elements: int, place: str) -> int:
    """How many raw bytes that many elements take.

    Raises:
        ModelError: The element type is not known, or has no raw form.
    """
    kind = element_type(tensor.data_type, place)
    if kind == ir.DataType.STRING:
        raise ModelError(f"{place} holds text as raw bytes", remedy="export the model again")
    return (elements * kind.bitwidth + 7) // 8


def element_type(code: int, place: str) -> ir.DataType:
    """Look an element type up.

    Raises:
        ModelError: The code is not one that is known.
    """
    try:
        kind = ir.DataType(code)
    except ValueError:
        kind = ir.DataType.UNDEFINED
    if kind == ir.DataType.UNDEFINED:
        raise ModelError(f"{place} has the unknown element type {code}", remedy="export the model again")
    return kind


def check_tensor(tensor: onnx.TensorProto, place: str, limits: Limits) -> None:
    """Check an embedded tensor: as many elements are held as the dimensions declare.

    Args:
        tensor: The tensor; its data is in the message.
        place: Where it is, for messages.
        limits: The most elements.

    Raises:
        ModelError: Dimensions, element type and contents do not fit together.
        LimitError: It declares too many elements.
    """
    elements = declared_elements(tensor, place, limits)
    kind = element_type(tensor.data_type, place)
    if tensor.HasField("segment"):
        raise ModelError(f"{place} is stored in segments", remedy="export the model again")
    filled = [f for f in ("raw_data", "int32_data", *_FIELDS) if len(getattr(tensor, f))]
    if len(filled) > 1:
        raise ModelError(
            f"{place} holds its data twice: {' and '.join(filled)}", remedy="export the model again"
        )
    if filled == ["raw_data"]:
        _compare(len(tensor.raw_data), stored_bytes(tensor, elements, place), "bytes", place, tensor.dims)
        return
    field = next((f for f, kinds in _FIELDS.items() if int(kind) in kinds), "int32_data")
    if filled and filled != [field]:
        raise ModelError(
            f"{place} holds {kind.name} elements in {filled[0]}", remedy="export the model again"
        )
    _compare(len(getattr(tensor, field)), _entries(kind, elements), "entries", place, tensor.dims)


def _entries(kind: ir.DataType, elements: int) -> int:
    """Entries of a typed field: two for a complex number, one for a byte of packed elements."""
    if int(kind) in _COMPLEX:
        return 2 * elements
    if kind != ir.DataType.STRING and kind.bitwidth < 8:
        return (elements * kind.bitwidth + 7) // 8
    return elements


def _compare(held: int, wanted: int, unit: str, place: str, dims: Sequence[int]) -> None:
    if held != wanted:
        raise ModelError(
            f"{place} holds {held:,} {unit}, its dimensions {_shown(dims)} want {wanted:,}",
            remedy="export or download the model again",
        )


def _shown(dims: Sequence[int]) -> str:
    text = "x".join(str(d) for d in dims[:8])
    return text + ("x..." if len(dims) > 8 else "")
