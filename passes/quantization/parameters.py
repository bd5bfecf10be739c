"""From ranges to scales and zero-points, and from weights to integers.

``q = clip(round(x / scale) + zero_point)``, rounding halves to even, as ONNX's QuantizeLinear does.

A range that is empty, or narrower than :data:`SCALE_FLOOR` can resolve, says nothing about the values to come:
it is replaced by [0, 1] for an activation, and its scale by the layer's largest for a weight's channel. What
was so replaced is marked and reported. No scale that is zero, negative, infinite or NaN is ever made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ...core.errors import ModelError
from ...core.reports import Skip
from ...core.targets import IntType
from ...core.tensors import Array

Vector = npt.NDArray[np.float64]
_Number = TypeVar("_Number", bound=np.generic)

SCALE_FLOOR = 1e-15
"""Smallest scale of an activation or a weight; the product of two is still a normal float32."""

EIGHT_BITS = (-127, 127)
"""The integers of a weight of 8 bits, symmetric about zero."""

BIAS_LIMIT = 2**31 - 1
_BIAS_ROOM = 0.999

BOUNDS: dict[IntType, tuple[int, int]] = {
    "uint8": (0, 255),
    "int8": (-128, 127),
    "uint16": (0, 65535),
    "int16": (-32768, 32767),
}
"""Smallest and largest number of each integer type."""


@dataclass(frozen=True)
class ActivationParameters:
    """How one activation is quantized.

    Attributes:
        scale: Step between two numbers, a float32 above zero.
        zero_point: The number that stands for zero.
        int_type: The integer type.
        constant: Whether the range was empty and replaced by [0, 1].
    """

    scale: float
    zero_point: int
    int_type: IntType
    constant: bool = False

    @property
    def low(self) -> float:
        """The smallest value that can be represented."""
        return (BOUNDS[self.int_type][0] - self.zero_point) * self.scale

    @property
    def high(self) -> float:
        """The largest value that can be represented."""
        return (BOUNDS[self.int_type][1] - self.zero_point) * self.scale

    def restored(self, array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """What is left of numbers behind their Q/DQ pair."""
        first, last = (bound - self.zero_point for bound in BOUNDS[self.int_type])
        scale = np.float32(self.scale)
        steps = np.clip(np.rint(array / scale), np.float32(first), np.float32(last))
        return np.asarray(steps * scale, np.float32)


def activation_parameters(
    low: float, high: float, int_type: IntType, *, symmetric: bool, full: bool = False
) -> ActivationParameters:
    """Scale and zero-point for values in ``[low, high]``; the range is widened to hold zero.

    Symmetric means a zero-point in the middle: 0 in a signed type, 128 (or 32768) in an unsigned one. In a signed
    type the largest magnitude then becomes 127; ``full`` lets the lowest value become -128 where that is finer.

    Raises:
        ModelError: The range is not finite.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if not np.isfinite([low, high]).all():
        raise ModelError(
            f"the range [{low}, {high}] is not finite", remedy="check the samples and the weights"
        )
    first, last = BOUNDS[int_type]
    constant = (high - low) / (last - first) < SCALE_FLOOR
    if constant:
        low, high = 0.0, 1.0
    if symmetric:
        signed, amax = first < 0, max(-low, high)
        finest = max(high / last, -low / -first) if full and signed else amax / last
        scale = float(np.float32(finest if signed else 2.0 * amax / last))
        return ActivationParameters(scale, 0 if signed else (last + 1) // 2, int_type, constant)
    step = (high - low) / (last - first)
    zero_point = min(max(round(first - low / step), first), last)
    return ActivationParameters(float(np.float32(step)), zero_point, int_type, constant)


def within(parameters: ActivationParameters, limit: float) -> ActivationParameters:
    """Shrink the scale by rounding steps until nothing above ``limit`` can be represented.

    ONNX Runtime absorbs a Clip into the quantization behind it only where that already clips as much.
    """
    span = np.float32(BOUNDS[parameters.int_type][1] - parameters.zero_point)
    scale = np.float32(min(parameters.scale, limit / float(span)))
    while np.float32(span * scale) > np.float32(limit):
        scale = np.nextafter(scale, np.float32(0.0))
    return replace(parameters, scale=float(scale))


@dataclass(frozen=True)
class WeightParameters:
    """A weight in integers, symmetric about zero.

    Attributes:
        values: The integers, of the weight's shape.
        scale: One number for each channel, shape ``(channels,)``, or a single one, shape ``()``; float32.
        axis: The axis of the channels, or None.
        floored: Number of channels whose weights are all zero, or too small for a scale of their own.
    """

    values: npt.NDArray[np.int8]
    scale: npt.NDArray[np.float32]
    axis: int | None
    floored: int

    def restored(self) -> npt.NDArray[np.float32]:
        """The weight that the integers stand for."""
        return self.values.astype(np.float32) * per_channel(self.scale, self.values.ndim, self.axis)


@dataclass(frozen=True)
class WeightAdjustment:
    """What to do otherwise than by default when a layer's weight is quantized.

    Attributes:
        scale: The scale of each channel, or a single one of shape ``()``; None for the default.
        values: The integers at that scale, of the weight's shape; None for the nearest ones. A channel whose scale
            has to grow for its bias is rounded to nearest again.
        bias_shift: What is added to the layer's outputs, shape ``(channels,)``; None for nothing.
        errors: The layer's square output error on the samples as a share of its output's square: by default, and
            adjusted. None where it was not measured.
        notes: What was asked for and cannot be done for this layer, with reasons.
    """

    scale: Vector | None = None
    values: npt.NDArray[np.int8] | None = None
    bias_shift: Vector | None = None
    errors: tuple[float, float] | None = None
    notes: tuple[Skip, ...] = ()


def weight_bounds(bits: int = 8, weight_range: str = "narrow") -> tuple[int, int]:
    """The smallest and the largest integer of a weight.

    Args:
        bits: How many of a weight are used: 8, 7 or 4.
        weight_range: ``narrow`` is symmetric about zero, ``full`` has one integer more below it.
    """
    top = 2 ** (bits - 1) - 1
    return (-top - 1 if weight_range == "full" else -top), top


def weight_scales(
    weight: Array, axis: int | None, bounds: tuple[int, int] = EIGHT_BITS
) -> tuple[Vector, int]:
    """The scale of each channel (or of the whole weight), and how many had to be floored.

    Args:
        weight: Finite numbers.
        axis: The axis of the channels, or None for one scale.
        bounds: The smallest and the largest integer.
    """
    axes = tuple(a for a in range(weight.ndim) if a != axis)
    exact = weight.astype(np.float64)
    high = np.maximum(exact.max(axis=axes, initial=0.0), 0.0)
    low = np.maximum(-exact.min(axis=axes, initial=0.0), 0.0)
    first, top = bounds
    scale = np.atleast_1d(np.maximum(high / top, low / -first))
    empty = scale < SCALE_FLOOR
    scale[empty] = scale.max() if scale.max() >= SCALE_FLOOR else 1.0 / top
    return (scale if axis is not None else scale[0]), int(empty.sum())


def fit_bias(scale: Vector, bias: Array, input_scale: float) -> Vector:
    """Enlarge the scales of those channels whose bias would not fit 32 bits at ``input_scale * scale``."""
    needed = np.abs(bias.astype(np.float64)) / (input_scale * BIAS_LIMIT * _BIAS_ROOM)
    return np.maximum(scale, needed if scale.ndim else needed.max(initial=0.0))


def quantize_weight(
    weight: Array,
    scale: Vector,
    axis: int | None,
    floored: int = 0,
    bounds: tuple[int, int] = EIGHT_BITS,
) -> WeightParameters:
    """Round a weight to the nearest integers at given scales."""
    single = np.maximum(scale, SCALE_FLOOR).astype(np.float32)
    first, last = bounds
    steps = np.rint(weight.astype(np.float64) / per_channel(single.astype(np.float64), weight.ndim, axis))
    return WeightParameters(np.clip(steps, first, last).astype(np.int8), single, axis, floored)


def per_channel(vector: npt.NDArray[_Number], rank: int, axis: int | None) -> npt.NDArray[_Number]:
    """One number for each channel, shaped to meet the weight; a single number as it is."""
    return vector if axis is None else vector.reshape([-1 if a == axis else 1 for a in range(rank)])


def quantize_bias(
    bias: Array, input_scale: float, weight_scale: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """A bias in 32-bit integers at ``input_scale * weight_scale``, with those scales."""
    scale = np.float32(input_scale) * weight_scale
    steps = np.rint(bias.astype(np.float64) / scale.astype(np.float64))
    return np.clip(steps, -BIAS_LIMIT, BIAS_LIMIT).astype(np.int32), np.asarray(scale, np.float32)
