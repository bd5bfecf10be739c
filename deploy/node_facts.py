"""What a node says of itself before it runs: constant inputs, bounds, scales, the version of its operator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})

Parameters: TypeAlias = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]
"""Scale and zero-point of quantized values; 0 where no zero-point is given."""


def constant_array(value: ir.Value | None) -> npt.NDArray[Any] | None:
    """The contents of an initializer that no caller can replace; None for anything else."""
    return None if value is None or value.const_value is None else value.const_value.numpy()


def operator_version(node: ir.Node, opsets: Mapping[str, int]) -> int:
    """The opset in which a node's operator was last changed; the imported one where onnx does not know the operator."""
    version = opsets.get(node.domain, 1)
    if node.domain in STANDARD_DOMAINS and onnx.defs.has(node.op_type, version, ""):
        return int(onnx.defs.get_schema(node.op_type, version, "").since_version)
    return version


def label(node: ir.Node) -> str:
    """What to call a node: its name, or the value that it makes."""
    return node.name or next((v.name for v in node.outputs if v.name), None) or node.op_type


def clip_bounds(node: ir.Node) -> tuple[float, float] | None:
    """The bounds of a Relu or Clip, infinite where there is none; None where one is not constant."""
    if node.op_type == "Relu":
        return 0.0, math.inf
    bounds = [
        node.attributes.get_float("min", -math.inf) or 0.0,
        node.attributes.get_float("max", math.inf) or 0.0,
    ]
    for index, value in enumerate(node.inputs[1:3]):
        array = constant_array(value)
        if value is not None and (array is None or array.size != 1):
            return None
        if array is not None:
            bounds[index] = float(array.ravel()[0])
    return bounds[0], bounds[1]


def parameters_of(node: ir.Node) -> Parameters | None:
    """Scale and zero-point of a QuantizeLinear or DequantizeLinear; None where they are not constant."""
    given = [*node.inputs[1:3], None, None]
    scale, zero = constant_array(given[0]), constant_array(given[1])
    if scale is None or (given[1] is not None and zero is None):
        return None
    return scale.astype(np.float64), np.zeros(1, np.int64) if zero is None else zero.astype(np.int64)


def same_parameters(before: ir.Node, behind: ir.Node) -> bool:
    """Whether two such nodes have one constant scale and zero-point, the same."""
    first, second = parameters_of(before), parameters_of(behind)
    if first is None or second is None:
        return False
    pairs = zip(first, second, strict=True)
    return all(a.size == 1 and b.size == 1 and a.ravel()[0] == b.ravel()[0] for a, b in pairs)
