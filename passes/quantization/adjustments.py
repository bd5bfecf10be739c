"""Scales, integers and biases of layers, chosen so that their outputs on the samples change least.

Three things, each on its own: scales of least square error, integers that make up for one another, and biases that
take up what is left in the mean. Where a layer cannot have what was asked for, its adjustment says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import Runner
from ...core.reports import Skip
from ...core.targets import Target
from ...core.tensors import Array
from .bias_correction import bias_shift
from .eligibility import output_channels, role_of, scale_axis
from .layer_inputs import InputMoments, Matrix, has_rows, layer_inputs
from .linear_nodes import bias_behind, effective_bias, effective_weight, in_blocks
from .options import QuantizeOptions, bounds_of
from .parameters import (
    ActivationParameters,
    Vector,
    WeightAdjustment,
    fit_bias,
    per_channel,
    quantize_weight,
    weight_scales,
)
from .placement import Placement, activations
from .rounding import round_rows, row_errors
from .weight_scaling import least_square_scales

__all__ = ["MOST_SAMPLES", "WeightAdjustment", "adjust_weights"]

MOST_SAMPLES = 512
"""Samples that are looked at."""

_NO_BIAS = "no Add of a constant stands alone behind it, so nothing can take up the mean error"
_NO_ROWS = "it is not a matrix that multiplies rows of its input, so integers and bias stay as by default"
_TOO_LARGE = "their second moments do not fit the memory cap, so integers are the nearest ones"


def adjust_weights(
    model: ir.Model,
    placement: Placement,
    parameters: Mapping[ir.Value, ActivationParameters],
    target: Target,
    options: QuantizeOptions,
    *,
    data: CalibrationData,
    runner: Runner,
) -> dict[str, WeightAdjustment]:
    """Choose scales, integers and biases as :attr:`QuantizeOptions.tools` asks.

    Scales alone need no run. Where the samples are run for the other two, the square error of a weight counts as
    much as the input that it multiplies.

    Args:
        model: The float graph, left as it is.
        placement: What becomes integer in it.
        parameters: How each quantized value is quantized.
        target: The range of weights, and whether biases are integers.
        options: The tools, the range of weights, the memory cap and the seed.
        data: The samples.
        runner: Executes the graph.

    Returns:
        By node name, what to do with each layer that has a weight.

    Raises:
        DataError: A batch or a value is not finite.
    """
    layers = {
        node.name or "": _Layer(
            node,
            effective_weight(node),
            scale_axis(node, target, options),
            parameters[placement.root(activations(node)[0])],
            target,
            options,
        )
        for node in placement.nodes
        if role_of(node) == "linear"
    }
    found: dict[str, WeightAdjustment] = {}
    if {"round", "correct-bias"} & set(options.tools):
        visited = layer_inputs(
            model,
            [layer.node for layer in layers.values() if has_rows(layer.node)],
            {activations(layer.node)[0]: layer.input for layer in layers.values()},
            data.subset(MOST_SAMPLES, seed=options.seed),
            runner,
            with_gram="round" in options.tools,
            memory_bytes=options.memory_bytes,
            seed=options.seed,
        )
        found = {node.name or "": layers[node.name or ""].adjusted(moments) for node, moments in visited}
    return {name: found[name] if name in found else layer.rescaled() for name, layer in layers.items()}


@dataclass(frozen=True)
class _Layer:
    """A layer to be adjusted.

    Attributes:
        node: The layer.
        weight: Its weight, with all factors of the node.
        axis: The axis along which its scales lie; None for a single one.
        input: How what it reads is quantized.
        target: The range of weights, and whether biases are integers.
        options: The tools and the range of weights.
    """

    node: ir.Node
    weight: Array
    axis: int | None
    input: ActivationParameters
    target: Target
    options: QuantizeOptions

    def rescaled(self) -> WeightAdjustment:
        """What can be done without moments."""
        asked = bool({"round", "correct-bias"} & set(self.options.tools))
        scale = self._scale(None) if "mse-weights" in self.options.tools else None
        return WeightAdjustment(scale, notes=(self._skip("no-rows", _NO_ROWS),) if asked else ())

    def adjusted(self, moments: InputMoments) -> WeightAdjustment:
        """What to do with the layer."""
        tools, notes = self.options.tools, []
        shifts = "correct-bias" in tools and self._takes_shift
        rounds = "round" in tools and moments.gram is not None
        if "correct-bias" in tools and not shifts:
            notes.append(self._skip("no-bias", _NO_BIAS))
        if "round" in tools and not rounds:
            notes.append(self._skip("too-large", f"{moments.mean.size} inputs: {_TOO_LARGE}"))
        scale = self._scale(moments)
        values = self._rounded(scale, moments, shifts) if rounds else self._nearest(scale)
        exact, restored = self._rows(self.weight), self._rows(self._restored(values, scale))
        shift = bias_shift(exact, restored, moments.mean, moments.mean_restored) if shifts else None
        errors = self._errors(exact, restored, moments, shifts)
        return WeightAdjustment(scale, values if rounds else None, shift, errors, tuple(notes))

    @property
    def _takes_shift(self) -> bool:
        node = self.node
        return node.op_type != "MatMul" or bias_behind(node, output_channels(node)) is not None

    def _skip(self, code: str, text: str) -> Skip:
        return Skip(self.node.name or "", None, code, f"{self.node.op_type}: {text}")

    def _scale(self, moments: InputMoments | None) -> Vector:
        """The scales as they will be written, which a large bias may enlarge."""
        bounds = bounds_of(self.target, self.options)
        if "mse-weights" in self.options.tools:
            importance = None if moments is None else self._importance(moments)
            scale, _ = least_square_scales(self.weight, self.axis, bounds, importance=importance)
        else:
            scale = self._default_scale()
        bias = effective_bias(self.node, output_channels(self.node)) if self.target.quantized_bias else None
        return scale if bias is None else fit_bias(scale, bias, self.input.scale)

    def _default_scale(self) -> Vector:
        return weight_scales(self.weight, self.axis, bounds_of(self.target, self.options))[0]

    def _importance(self, moments: InputMoments) -> Array:
        """What a square error of each weight counts: the mean square of the input that it multiplies."""
        counts = np.empty(self.weight.shape)
        blocks = in_blocks(self.node, counts)
        blocks[...] = moments.power.reshape(blocks.shape[0], 1, *blocks.shape[2:])
        return counts

    def _nearest(self, scale: Vector) -> npt.NDArray[np.int8]:
        return quantize_weight(self.weight, scale, self.axis, 0, bounds_of(self.target, self.options)).values

    def _steps(self, scale: Vector) -> Matrix:
        """The scale of each weight as it is written, in single precision."""
        single = np.asarray(scale, np.float32).astype(np.float64)
        return np.broadcast_to(per_channel(single, self.weight.ndim, self.axis), self.weight.shape)

    def _restored(self, values: npt.NDArray[np.int8], scale: Vector) -> Matrix:
        return np.asarray(values * self._steps(scale))

    def _rounded(self, scale: Vector, moments: InputMoments, shifts: bool) -> npt.NDArray[np.int8]:
        """Integers that make up for one another; about the mean where a bias takes up the mean error."""
        assert moments.gram is not None
        found = round_rows(
            self._rows(self.weight),
            self._rows(self._steps(scale))[:, :, 0],
            moments.centred() if shifts else moments.gram,
            bounds_of(self.target, self.options),
        )
        values = np.empty(self.weight.shape, np.int8)
        blocks = in_blocks(self.node, values)
        blocks[...] = found.reshape(blocks.shape)
        return values

    def _errors(
        self, exact: Matrix, restored: Matrix, moments: InputMoments, shifts: bool
    ) -> tuple[float, float] | None:
        """What the integers do to the layer's outputs, by default and adjusted, as shares of their energy."""
        if moments.gram is None:
            return None
        default = self._default_scale()
        plain = self._rows(self._restored(self._nearest(default), default))
        energy = max(float(row_errors(exact, moments.gram).sum()), float(np.finfo(np.float64).tiny))
        before = float(row_errors(exact - plain, moments.gram).sum())
        gram = moments.centred() if shifts else moments.gram
        return before / energy, float(row_errors(exact - restored, gram).sum()) / energy

    def _rows(self, weight: Array) -> Matrix:
        """Shape ``(groups, outputs, inputs)``, with the inputs in the order in which they are read."""
        blocks = in_blocks(self.node, weight)
        return blocks.reshape(*blocks.shape[:2], -1).astype(np.float64)
