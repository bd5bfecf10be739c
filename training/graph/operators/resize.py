"""Resize and Upsample: each element of the result is a sum of a few of the input, one axis after the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from ..plan import Ints, Kernel, NodePlan

Tensor = torch.Tensor

_ROUNDINGS: dict[str, Callable[[Any], Any]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


@dataclass(frozen=True)
class Axis:
    """How one axis is resized.

    Attributes:
        size: Elements before.
        wanted: Elements after.
        scale: What stretches it; not exactly ``wanted / size`` where the scale is stated.
        start: Where a crop begins, in shares of the axis.
        end: Where it ends.
    """

    size: int
    wanted: int
    scale: float
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True)
class Style:
    """The attributes of a Resize.

    Attributes:
        mode: ``nearest``, ``linear`` or ``cubic``.
        coordinates: How a place in the result is found in the input.
        rounding: What nearest means.
        cubic: The coefficient of the cubic kernel (Keys 1981).
        excludes: Whether elements outside have no weight.
        is_smooth: Whether the kernel is widened for a reduction.
        fill: What lies outside a crop.
    """

    mode: str
    coordinates: str
    rounding: str
    cubic: float
    excludes: bool
    is_smooth: bool
    fill: float


def resize(node: NodePlan) -> Kernel:
    """Resize from version 11 on: a region, scales or sizes."""
    readers = (_read_floats(node, 1), _read_floats(node, 2), node.read_ints(3))
    return _kernel(node, _style(node), readers)


def resize_by_scales(node: NodePlan) -> Kernel:
    """Resize of version 10, and Upsample: scales alone, without an offset."""
    stated = node.floats("scales")
    read = _read_floats(node, 1) if stated is None else (lambda _: stated)
    mode = {"bilinear": "linear"}.get(node.text("mode", "nearest"), node.text("mode", "nearest"))
    style = Style(mode, "asymmetric", "floor", -0.75, False, False, 0.0)

    def shifted(x: Tensor, scales: Tensor | None = None) -> Any:
        return inner(x, None, scales)

    inner = _kernel(node, style, (lambda _: None, read, lambda _: None))
    return shifted


def _style(node: NodePlan) -> Style:
    style = Style(
        mode=node.text("mode", "nearest"),
        coordinates=node.text("coordinate_transformation_mode", "half_pixel"),
        rounding=node.text("nearest_mode", "round_prefer_floor"),
        cubic=node.number("cubic_coeff_a", -0.75),
        excludes=bool(node.integer("exclude_outside", 0)),
        is_smooth=bool(node.integer("antialias", 0)),
        fill=node.number("extrapolation_value", 0.0),
    )
    if style.mode not in {"nearest", "linear", "cubic"} or style.coordinates not in _COORDINATES:
        node.refuse(f"mode {style.mode!r} with coordinates {style.coordinates!r} is unknown")
    return style


def _kernel(node: NodePlan, style: Style, readers: tuple[Any, Any, Any]) -> Kernel:
    axes, policy = node.ints("axes"), node.text("keep_aspect_ratio_policy", "stretch")
    known: dict[Axis, Any] = {}

    def kernel(x: Tensor, roi: Any = None, scales: Any = None, sizes: Any = None) -> Tensor:
        region, factors, wanted = (read(t) for read, t in zip(readers, (roi, scales, sizes), strict=True))
        named = tuple(a % x.dim() for a in axes) if axes else tuple(range(x.dim()))
        plans = _plan(x.shape, named, region or (), factors or (), wanted or (), policy)
        plans = {a: p for a, p in plans.items() if p.size != p.wanted or p.scale != 1.0 or region}
        fast = _by_torch(x, plans, style)
        if fast is not None:
            return fast
        for axis, plan in plans.items():
            if plan not in known:
                known[plan] = _taps(plan, style)
            x = _apply(x, axis, known[plan], style)
        return x

    return kernel


def _plan(
    shape: torch.Size,
    axes: Ints,
    region: tuple[float, ...],
    scales: tuple[float, ...],
    sizes: Ints,
    policy: str,
) -> dict[int, Axis]:
    """What happens to each named axis."""
    if sizes:
        factors = [wanted / shape[a] for a, wanted in zip(axes, sizes, strict=True)]
        if policy != "stretch":
            one = min(factors) if policy == "not_larger" else max(factors)
            factors = [one] * len(axes)
            sizes = tuple(math.floor(one * shape[a] + 0.5) for a in axes)
    else:
        factors = list(scales)
        sizes = tuple(math.floor(shape[a] * f) for a, f in zip(axes, factors, strict=True))
    count = len(axes)
    bounds = region if len(region) == 2 * count else (0.0,) * count + (1.0,) * count
    return {a: Axis(shape[a], sizes[i], factors[i], bounds[i], bounds[count + i]) for i, a in enumerate(axes)}


def _by_torch(x: Tensor, plans: dict[int, Axis], style: Style) -> Tensor | None:
    """What torch computes alike: bilinear images, by sizes that the scales give exactly."""
    is_plain = style.mode == "linear" and not style.is_smooth and not style.excludes
    aligned = {"half_pixel": False, "align_corners": True}.get(style.coordinates)
    if x.dim() != 4 or not is_plain or aligned is None or not set(plans) <= {2, 3}:
        return None
    if any(p.wanted != p.size * p.scale for p in plans.values()):
        return None
    size = [plans[a].wanted if a in plans else x.shape[a] for a in (2, 3)]
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=aligned)


def _apply(x: Tensor, axis: int, taps: tuple[Any, Any, Any], style: Style) -> Tensor:
    """Sum the chosen elements by their weights."""
    places, weights, outside = taps
    shape = [1] * x.dim()
    shape[axis] = -1
    if weights is None:
        y = x.index_select(axis, torch.as_tensor(places[0], device=x.device))
    else:
        y = torch.zeros((), dtype=x.dtype, device=x.device)
        for place, weight in zip(places, weights, strict=True):
            factor = torch.as_tensor(weight, device=x.device).to(x.dtype).reshape(shape)
            y = y + x.index_select(axis, torch.as_tensor(place, device=x.device)) * factor
    if outside is not None and outside.any():
        mask = torch.as_tensor(outside, device=x.device).reshape(shape)
        y = torch.where(mask, torch.full_like(y, style.fill), y)
    return y


def _taps(axis: Axis, style: Style) -> tuple[Any, Any, Any]:
    """For each element of the result the elements it is made of, their weights, and whether it lies outside.

    Returns:
        Indices ``(taps, wanted)``, weights of the same shape (None: one tap of weight one), and a mask
        ``(wanted,)`` or None.
    """
    at = _COORDINATES[style.coordinates](np.arange(axis.wanted, dtype=np.float64), axis)
    outside = (at < 0) | (at > axis.size - 1) if style.coordinates == "tf_crop_and_resize" else None
    if style.mode == "nearest":
        places = _ROUNDINGS[style.rounding](at).astype(np.int64)[None]
        return np.clip(places, 0, axis.size - 1), None, outside
    whole = np.floor(at)
    reach, kernel = (1, _tent) if style.mode == "linear" else (2, lambda d: _keys(d, style.cubic))
    shrink = min(axis.scale, 1.0) if style.is_smooth else 1.0
    first = math.floor(-reach / shrink) + 1
    offsets = np.arange(first, 2 - first)[:, None]
    places = whole[None] + offsets
    weights = kernel((places - at[None]) * shrink)
    if style.excludes:
        weights = np.where((places < 0) | (places > axis.size - 1), 0.0, weights)
    if style.is_smooth or style.excludes:
        weights = weights / weights.sum(0, keepdims=True)
    return np.clip(places, 0, axis.size - 1).astype(np.int64), weights, outside


def _tent(distance: Any) -> Any:
    return np.clip(1.0 - np.abs(distance), 0.0, 1.0)


def _keys(distance: Any, a: float) -> Any:
    """The cubic convolution kernel (Keys 1981, equation 4, with a free coefficient)."""
    d = np.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _half_pixel(x: Any, axis: Axis) -> Any:
    return (x + 0.5) / axis.scale - 0.5


def _symmetric(x: Any, axis: Axis) -> Any:
    adjusted = axis.wanted / (axis.scale * axis.size)
    return axis.size / 2 * (1 - adjusted) + _half_pixel(x, axis)


def _torch_half_pixel(x: Any, axis: Axis) -> Any:
    return _half_pixel(x, axis) if axis.wanted > 1 else x * 0.0


def _aligned(x: Any, axis: Axis) -> Any:
    return x * 0.0 if axis.wanted == 1 else x * (axis.size - 1) / (axis.size * axis.scale - 1)


def _cropped(x: Any, axis: Axis) -> Any:
    last = axis.size - 1
    if axis.wanted == 1:
        return x * 0.0 + 0.5 * (axis.start + axis.end) * last
    return axis.start * last + x * (axis.end - axis.start) * last / (axis.wanted - 1)


_COORDINATES: dict[str, Callable[[Any, Axis], Any]] = {
    "align_corners": _aligned,
    "asymmetric": lambda x, axis: x / axis.scale,
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _symmetric,
    "pytorch_half_pixel": _torch_half_pixel,
    "tf_crop_and_resize": _cropped,
    "tf_half_pixel_for_nn": lambda x, axis: (x + 0.5) / axis.scale,
}


def _read_floats(node: NodePlan, index: int) -> Callable[[Any], tuple[float, ...] | None]:
    fixed = node.constant(index)
    if fixed is not None:
        numbers = tuple(float(n) for n in fixed.reshape(-1))
        return lambda _: numbers
    return lambda tensor: None if tensor is None else tuple(float(n) for n in tensor.reshape(-1).tolist())
