"""What XNNPACK takes (kernels for ARM, x86 and WebAssembly CPUs): the table, from ONNX Runtime's documentation and sources.

The page is ``docs/execution-providers/Xnnpack-ExecutionProvider.md``; files are of ``core/providers/xnnpack``. Where the two
differ the source holds: the page lists operators of ``com.microsoft``, which ``node_support_checker.cc`` does not look at.
Every node has a kernel of its own and shares the memory of the CPU, so a further partition costs a change of layout
(NCHW to NHWC and back) and no copy to a device.
"""

from __future__ import annotations

import numpy as np

from .provider_conditions import (
    attribute,
    constant,
    fixed_axes,
    flat_kernel,
    keeps_channels,
    one_output,
    one_scale,
    padding,
    quantized,
    rank,
    relu_bounds,
    since,
    softmax_scale,
    symmetric_channels,
    types,
)
from .provider_rules import Provider, Rule, UnitView, standard

_IMAGE = (rank(4), fixed_axes(0, 1, 2, 3))
_PADDING = padding("NOTSET", "VALID", "SAME_UPPER")
_BYTES = (quantized("uint8", "int8"),)


def _not_one_by_one(view: UnitView) -> str:
    return "kernel of 1 x 1 not supported" if set(view.integers("kernel_shape")) == {1} else ""


def _same_as_weights(view: UnitView) -> str:
    """Input and weights have one type, signed or not; unsigned input with signed weights has no kernel."""
    types_found = view.dtype(0), view.dtype(1)
    if None in types_found or types_found[0] == types_found[1]:
        return ""
    spelled = " with ".join(t.numpy().name for t in types_found if t is not None)
    return f"no integer kernel: {spelled} weights"


def _integer_bias(view: UnitView) -> str:
    """The bias of a group is a constant of 32 bits."""
    return types("int32", index=2)(view).replace("type", "no integer kernel: type", 1)


def _counts_padding(view: UnitView) -> str:
    """Floats are averaged without the padding, integers with it (``average_pool.cc``)."""
    wanted = int(view.unit.is_group)
    return (
        ""
        if view.integer("count_include_pad", 0) == wanted
        else f"attribute count_include_pad={1 - wanted} not supported"
    )


def _last_axis(view: UnitView) -> str:
    dims, default = view.dims(0), -1 if view.version >= 13 else 1
    axis = view.integer("axis", default)
    if view.version < 13:
        return ""
    if not dims or axis not in {-1, len(dims) - 1}:
        return f"attribute axis={axis} not supported, the last one is"
    return fixed_axes(0, -1)(view)


def _resize_channels(view: UnitView) -> str:
    return keeps_channels(1, 9)(view) if view.version == 10 else keeps_channels(2, 3)(view)


def _resize_down(view: UnitView) -> str:
    """Smaller only by whole factors."""
    scales, dims = view.array(1 if view.version == 10 else 2), view.dims(0)
    if scales is None or scales.size != 4 or dims is None or np.all(scales[2:] >= 1):
        return ""
    pairs = list(zip(scales[2:].tolist(), dims[2:], strict=True))
    whole = all(
        isinstance(d, int) and abs(1 / s - round(1 / s)) < 1e-6 and d % round(1 / s) == 0 for s, d in pairs
    )
    return "" if whole else "scales below 1 that are no whole fractions of the size"


def _resize_form(view: UnitView) -> str:
    """Bilinear, in four ways of counting pixels, without the newer options."""
    checks = [
        attribute("mode", "nearest", "linear"),
        attribute("antialias", 0),
        attribute("keep_aspect_ratio_policy", "stretch"),
        attribute("extrapolation_value", 0.0),
        attribute("exclude_outside", 0),
    ]
    if view.version > 10:
        ways = ["half_pixel", "asymmetric", "align_corners"]
        sizes = (view.output_dims() or ())[2:]
        if all(isinstance(d, int) and d > 1 for d in sizes) and sizes:
            ways.append("pytorch_half_pixel")
        checks.append(attribute("coordinate_transformation_mode", "half_pixel", *ways))
    if view.integers("axes"):
        return "attribute axes not supported"
    return next((reason for check in checks if (reason := check(view))), "")


def _gemm(view: UnitView) -> str:
    """Matrices, a constant vector as bias."""
    bias, weight = view.dims(2), view.dims(1)
    if view.value(2) is None:
        return "bias not given, which ONNX Runtime's check reads"
    if not bias or not weight or bias[0] not in weight:
        return "bias is no vector of the output's width"
    return attribute("alpha", 1.0)(view) or attribute("beta", 1.0)(view)


def _matrices(view: UnitView) -> str:
    """Two matrices, or a vector; batches only from ONNX Runtime 1.23 on (pull request 24908)."""
    dims = view.dims(0)
    more = " (3 from ONNX Runtime 1.23 on)" if dims is not None and len(dims) == 3 else ""
    reason = rank(1, 2)(view)
    return reason + more if reason else rank(1, 2, 1)(view)


_CONV = (*_IMAGE, constant(1, "weights"), constant(2, "bias"), rank(4, index=1), _PADDING)
_CONV_GROUP = (*_BYTES, _same_as_weights, _integer_bias)
_POOL = (*_IMAGE, flat_kernel, _not_one_by_one, attribute("ceil_mode", 0), _PADDING)
_KERNELS_THAT_JOIN = frozenset({"AveragePool", "Conv", "MaxPool"})

RULES = standard(
    {
        "AveragePool": Rule(
            source="nn/average_pool.cc",
            conditions=(since(11), *_POOL, _counts_padding),
            group=(quantized("uint8"),),
        ),
        "Conv": Rule(
            source="nn/conv_base.cc",
            conditions=(since(11), *_CONV),
            group=(*_CONV_GROUP, symmetric_channels),
        ),
        "ConvTranspose": Rule(
            source="nn/conv_base.cc", conditions=_CONV, group=(*_CONV_GROUP, one_scale(1, "ConvTranspose"))
        ),
        "Gemm": Rule(
            source="math/gemm.cc",
            conditions=(
                since(7),
                constant(1, "weights"),
                constant(2, "bias"),
                rank(1, 2),
                rank(1, 2, 1),
                rank(1, 2, 2),
                _gemm,
            ),
        ),
        "MatMul": Rule(
            source="math/matmul.cc", conditions=(_matrices, fixed_axes(0), constant(1, "weights"))
        ),
        "MaxPool": Rule(
            source="nn/max_pool.cc",
            conditions=(since(8), *_POOL, one_output),
            single=(types("float32", "uint8", "int8"),),
            group=_BYTES,
        ),
        "QLinearConv": Rule(
            source="nn/conv_base.cc",
            conditions=(
                *_IMAGE,
                constant(3, "weights"),
                constant(8, "bias"),
                rank(4, index=3),
                _PADDING,
                *(constant(index, "scale or zero-point") for index in (1, 2, 4, 5, 6, 7)),
            ),
            single=(types("uint8", "int8"),),
        ),
        "Resize": Rule(
            source="tensor/resize.cc",
            conditions=(since(10), rank(4), fixed_axes(0, 1), _resize_channels, _resize_down, _resize_form),
            single=(types("float32", "uint8", "int8"),),
            group=_BYTES,
        ),
        "Softmax": Rule(
            source="math/softmax.cc",
            conditions=(rank(1, 8), _last_axis),
            group=(quantized("uint8"), softmax_scale),
        ),
        "Relu": Rule(source="detail/node_support_checker.cc", joins=_KERNELS_THAT_JOIN),
        "Clip": Rule(
            source="detail/node_support_checker.cc", joins=_KERNELS_THAT_JOIN, conditions=(relu_bounds(),)
        ),
    }
)

_NOT_LOOKED_AT = "on the documentation's list, but the source looks at standard operators only"

XNNPACK = Provider(
    name="XNNPACK",
    rules=RULES,
    common=(),
    single=(types("float32"),),
    copies=False,
    absent={
        f"com.microsoft:{name}": _NOT_LOOKED_AT
        for name in ("QLinearAveragePool", "QLinearConvTranspose", "QLinearSoftmax")
    },
)
