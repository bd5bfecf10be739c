"""Conditions that several providers share: shapes, types, constants, attributes, quantization."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from .node_facts import clip_bounds, parameters_of
from .provider_rules import Condition, UnitView

_Attribute = int | float | str


def fixed_shapes(view: UnitView) -> str:
    """Every input has a shape without free dimensions."""
    for index in view.inputs:
        if reason := fixed_axes(index)(view):
            return reason
    return ""


def fixed_axes(index: int, *axes: int) -> Condition:
    """An input has a known rank, and numbers for these dimensions (all of them where none is named)."""

    def check(view: UnitView) -> str:
        dims = view.dims(index)
        if dims is None:
            return f"shape of input {view.name(index)} is not known"
        for axis, dim in enumerate(dims):
            if not isinstance(dim, int) and (not axes or axis in axes or axis - len(dims) in axes):
                # onnx names what it cannot infer unk__0, unk__1 and so on
                said = f" ({dim})" if dim and not dim.startswith("unk__") else ""
                return f"dynamic shape at input {view.name(index)} axis {axis}{said}"
        return ""

    return check


def rank(low: int, high: int | None = None, index: int = 0) -> Condition:
    """An input has a rank within bounds, both included."""
    high = low if high is None else high
    wanted = f"{low}" if low == high else f"{low} to {high}"

    def check(view: UnitView) -> str:
        dims = view.dims(index)
        if view.value(index) is None:
            return ""
        if dims is None:
            return f"shape of input {view.name(index)} is not known"
        if low <= len(dims) <= high:
            return ""
        return f"input {view.name(index)} has rank {len(dims)}, supported is {wanted}"

    return check


def types(*names: str, index: int = 0) -> Condition:
    """An input has one of these types, named as numpy does."""

    def check(view: UnitView) -> str:
        found = view.dtype(index)
        spelled = "unknown" if found is None else found.numpy().name
        if view.value(index) is None or spelled in names:
            return ""
        return f"type {spelled} of input {view.name(index)} is not supported"

    return check


def constant(index: int, what: str) -> Condition:
    """An input is constant, if it is there."""

    def check(view: UnitView) -> str:
        is_open = view.value(index) is not None and not view.is_constant(index)
        return f"{what} not constant: {view.name(index)}" if is_open else ""

    return check


def present(index: int, what: str) -> Condition:
    """An input is there and constant; before it was an input it was an attribute, which is not read."""

    def check(view: UnitView) -> str:
        if view.value(index) is None:
            return f"{what} not given as input {index}: opset too low"
        return constant(index, what)(view)

    return check


def attribute(name: str, default: _Attribute, *allowed: _Attribute) -> Condition:
    """An attribute has one of these values; its default alone where none is named."""
    values = allowed or (default,)

    def check(view: UnitView) -> str:
        found = (
            view.text(name, default)
            if isinstance(default, str)
            else view.number(name, default)
            if isinstance(default, float)
            else view.integer(name, default)
        )
        return "" if found in values else f"attribute {name}={found} not supported"

    return check


def padding(*allowed: str) -> Condition:
    """``auto_pad`` has one of these values, where it is what decides on the padding."""

    def check(view: UnitView) -> str:
        return "" if view.integers("pads") else attribute("auto_pad", "NOTSET", *allowed)(view)

    return check


def undilated(view: UnitView) -> str:
    """No dilation."""
    found = view.integers("dilations")
    return "" if set(found) <= {1} else f"attribute dilations={list(found)} not supported"


def flat_kernel(view: UnitView) -> str:
    """The kernel has two dimensions."""
    found = view.integers("kernel_shape")
    return "" if len(found) == 2 else f"kernel of {len(found)} dimensions, supported are 2"


def one_output(view: UnitView) -> str:
    """Only the first output is used."""
    count = sum(bool(value.name) for value in view.node.outputs)
    return "" if count == 1 else f"{count} outputs, supported is 1"


def since(version: int) -> Condition:
    """The operator's version is at least this."""

    def check(view: UnitView) -> str:
        return (
            ""
            if view.version >= version
            else f"opset too low: operator of version {view.version}, {version} is needed"
        )

    return check


def gemm_form(view: UnitView) -> str:
    """``A * B + C`` without factors and without a transposed A."""
    checks = (attribute("transA", 0), attribute("alpha", 1.0), attribute("beta", 1.0))
    return next((reason for check in checks if (reason := check(view))), "")


def gemm_bias(view: UnitView) -> str:
    """The third input is a vector as wide as the output."""
    dims, weight = view.dims(2), view.dims(1)
    if view.value(2) is None or dims is None or weight is None:
        return ""
    width = weight[0 if view.integer("transB", 0) else 1]
    is_vector = bool(dims) and dims[-1] == width and all(d == 1 for d in dims[:-1])
    return "" if is_vector else f"bias of shape {list(dims)}, supported is a vector of {width}"


def relu_bounds(*allowed: tuple[float, float]) -> Condition:
    """The bounds of a Clip are constant and among these; any constant ones where none are named."""

    def check(view: UnitView) -> str:
        bounds = clip_bounds(view.node)
        if bounds is None or not all(view.is_constant(i) for i in view.inputs[1:]):
            return "bounds not constant"
        if not allowed or bounds in allowed:
            return ""
        return f"bounds {bounds[0]:g} and {bounds[1]:g} not supported"

    return check


def quantized(*names: str) -> Condition:
    """In a group, the first quantized input has one of these types, and every scale and zero-point is constant."""

    def check(view: UnitView) -> str:
        for node in (*view.unit.dequantize, *view.unit.quantize):
            if parameters_of(node) is None:
                return f"scale or zero-point not constant: {node.name or node.op_type}"
        first = next(i for i in view.inputs if view.unit.dequantizer(i) is not None)
        return types(*names, index=first)(view).replace("type", "no integer kernel: type", 1)

    return check


def symmetric_channels(view: UnitView) -> str:
    """Weights with one scale a channel have it along axis 0, are signed, and have no zero-point."""
    parameters, dims = view.parameters(1), view.dims(1)
    if parameters is None or parameters[0].size == 1:
        return ""
    if view.dtype(1) != ir.DataType.INT8:
        return "no integer kernel: one scale a channel with unsigned weights"
    if parameters[1].any():
        return "no integer kernel: one scale a channel with a zero-point other than 0"
    is_first = dims is not None and dims[0] == parameters[0].size
    return "" if is_first else "no integer kernel: one scale a channel along another axis than 0"


def one_scale(index: int, what: str) -> Condition:
    """A group's input has one scale for all."""

    def check(view: UnitView) -> str:
        parameters = view.parameters(index)
        several = parameters is not None and parameters[0].size > 1
        return f"no integer kernel: one scale a channel for {what}" if several else ""

    return check


def softmax_scale(view: UnitView) -> str:
    """The output of a quantized Softmax has scale 1/256 and zero-point 0."""
    parameters = parameters_of(view.unit.quantize[0]) if view.unit.quantize else None
    if parameters is None:
        return "no integer kernel: output not quantized with constants"
    is_it = np.allclose(parameters[0], 1 / 256, atol=1e-4) and not parameters[1].any()
    return "" if is_it else "no integer kernel: output scale other than 1/256 with zero-point 0"


def keeps_channels(scales: int, sizes: int) -> Condition:
    """A Resize has constant scales or sizes, and leaves batch and channels as they are."""

    def check(view: UnitView) -> str:
        index = scales if _has_numbers(view, scales) or view.value(sizes) is None else sizes
        array, dims = view.array(index), view.dims(0)
        if array is None:
            return "scales or sizes not constant"
        if dims is None or len(array) != len(dims) or len(dims) < 3:
            return "scales or sizes for some axes only"
        kept: Sequence[object] = (1.0, 1.0) if index == scales else dims[:2]
        return "" if list(array[:2]) == list(kept) else "batch or channels are resized"

    return check


def _has_numbers(view: UnitView, index: int) -> bool:
    """Whether an input is there and not the empty tensor that stands for one that is not."""
    array = view.array(index)
    return view.value(index) is not None and (array is None or array.size > 0)
