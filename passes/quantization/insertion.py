"""Writing QuantizeLinear and DequantizeLinear into the graph.

Each quantized value gets one QuantizeLinear and one DequantizeLinear that all its users share. Behind an integer
node everybody reads the dequantized value, graph outputs included, because ONNX Runtime joins the node with its
QuantizeLinear only where nothing else reads it; behind a float node only integer nodes do. Weights and biases
become integer initializers with a DequantizeLinear.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir

from ...core.targets import Target
from ...core.tensors import Array
from ..folding import constant
from .eligibility import output_channels, role_of, scale_axis
from .linear_nodes import bias_behind, effective_bias, effective_weight
from .options import QuantizeOptions, bounds_of
from .parameters import (
    BOUNDS,
    ActivationParameters,
    WeightAdjustment,
    WeightParameters,
    activation_parameters,
    fit_bias,
    per_channel,
    quantize_bias,
    quantize_weight,
    weight_scales,
)
from .placement import Placement, activations

NUMPY_TYPES = {"uint8": np.uint8, "int8": np.int8, "uint16": np.uint16, "int16": np.int16}


@dataclass(frozen=True)
class Written:
    """What insertion wrote.

    Attributes:
        weights: For each integer node with a constant weight, how it was quantized.
        taps: For each float value whose error can be measured, the value that stands for it now.
        widened: Nodes some of whose weight scales were enlarged so that the bias fits 32 bits.
        scales: The initializer that holds the scale of each value that has parameters of its own.
    """

    weights: dict[str, WeightParameters]
    taps: dict[str, str]
    widened: tuple[str, ...]
    scales: dict[str, str] = field(default_factory=dict)


class Writer:
    """Writes one placement into its graph.

    Args:
        graph: Changed in place.
        placement: What becomes integer.
        parameters: Scale and zero-point of each value of ``placement.values``.
        target: Decides the types and the rule for zero-points.
        options: Decides the weights' ranges.
        adjustments: By node name, what to do otherwise with its weight and bias.
        keeps_weights: Whether weights and biases stay float, and values that share parameters share one scale, so that
            the graph can be trained.
    """

    def __init__(
        self,
        graph: ir.Graph,
        placement: Placement,
        parameters: Mapping[ir.Value, ActivationParameters],
        target: Target,
        options: QuantizeOptions,
        *,
        adjustments: Mapping[str, WeightAdjustment] | None = None,
        keeps_weights: bool = False,
    ) -> None:
        self.graph = graph
        self.keeps_weights = keeps_weights
        self._scales: dict[str, ir.Value] = {}
        self.placement = placement
        self.parameters = parameters
        self.target = target
        self.options = options
        self.adjustments = adjustments or {}
        self.names = {v.name for n in graph for v in n.outputs} | set(graph.initializers)
        self.names |= {v.name for v in graph.inputs}
        # Names, taken now: a graph output gives its name to the dequantized value.
        self.roots = {value: placement.root(value).name or "" for value in placement.values}

    def write(self) -> Written:
        """Insert every Q/DQ pair."""
        taps: dict[str, str] = {}
        weights: dict[str, WeightParameters] = {}
        widened = []
        for node in self.placement.nodes:
            if role_of(node) == "linear" and not self.keeps_weights:
                weights[node.name or ""], grew = self._quantize_weights(node)
                widened += [node.name or ""] * grew
            elif role_of(node) == "combine":
                self._quantize_constants(node)
        integer = set(self.placement.nodes)
        made = integer | set(self.placement.absorbed.values())
        for node in self.placement.nodes:
            output = self.placement.absorbed.get(node, node).outputs[0]
            taps[output.name or ""] = output.name or ""
        for value in self.placement.values:
            name = value.name or ""  # taken first: a graph output gives its name to the dequantized value
            taps[name] = self._quantize_value(value, integer, value.producer() in made)
        for node, behind in self.placement.absorbed.items():
            self._bypass_absorbed(node, behind)
        scales = {root: scale.name or "" for root, scale in self._scales.items()}
        return Written(weights, taps, tuple(widened), scales)

    def _quantize_value(self, value: ir.Value, integer: set[ir.Node], behind_integer: bool) -> str:
        """Put a pair behind a value; the name of the dequantized value."""
        name = value.name or ""
        uses = [u for u in value.uses() if behind_integer or u.node in integer]
        is_result = behind_integer and value.is_graph_output()
        if is_result:
            value.name = self._fresh(f"{name}_float")
            self.names.discard(name)
        parameters = self.parameters[value]
        scale = self._scale(value, f"{name}_scale")
        zero = self._initializer(
            f"{name}_zero_point", np.asarray(parameters.zero_point, NUMPY_TYPES[parameters.int_type])
        )
        quantized = self._node(
            "QuantizeLinear", [value, scale, zero], f"{name}_quantized", zero.dtype, value.shape
        )
        restored = self._node(
            "DequantizeLinear",
            [quantized.outputs[0], scale, zero],
            name if is_result else f"{name}_dequantized",
            ir.DataType.FLOAT,
            value.shape,
        )
        self._insert_behind(value, [quantized, restored])
        output = restored.outputs[0]
        for use in uses:
            use.node.replace_input_with(use.idx, output)
        if is_result:
            self._replace_result(value, output)
        return output.name or ""

    def _scale(self, value: ir.Value, name: str) -> ir.Value:
        """The scale of a value; in a graph to be trained, that of the value whose parameters it has."""
        root = self.roots[value]
        if root in self._scales and self.keeps_weights:
            return self._scales[root]
        made = self._initializer(name, np.asarray(self.parameters[value].scale, np.float32))
        return self._scales.setdefault(root, made) if self.keeps_weights else made

    def _bypass_absorbed(self, node: ir.Node, behind: ir.Node) -> None:
        """Quantize before a Relu or Clip that the quantization repeats, which leaves it without a reader."""
        value = behind.outputs[0]
        parameters = self.parameters.get(value)
        if parameters is None or parameters.zero_point != BOUNDS[parameters.int_type][0]:
            return
        for use in list(value.uses()):
            use.node.replace_input_with(use.idx, node.outputs[0])

    def _insert_behind(self, value: ir.Value, nodes: list[ir.Node]) -> None:
        producer = value.producer()
        if producer is not None:
            self.graph.insert_after(producer, nodes)
        else:
            self.graph.insert_before(self.graph[0], nodes)

    def _replace_result(self, value: ir.Value, output: ir.Value) -> None:
        for index, result in enumerate(self.graph.outputs):
            if result is value:
                self.graph.outputs[index] = output

    def _quantize_weights(self, node: ir.Node) -> tuple[WeightParameters, bool]:
        """Replace weight and bias by integers; whether scales had to grow for the bias."""
        adjustment = self.adjustments.get(node.name or "", WeightAdjustment())
        value, weight = node.inputs[1], effective_weight(node)
        assert value is not None
        bias = self._bias(node, adjustment.bias_shift)
        axis = scale_axis(node, self.target, self.options)
        bounds = bounds_of(self.target, self.options)
        plain, floored = weight_scales(weight, axis, bounds)
        exact = plain if adjustment.scale is None else adjustment.scale
        input_scale = self.parameters[self.placement.root(activations(node)[0])].scale
        scale = exact
        if bias is not None and self.target.quantized_bias:
            scale = fit_bias(exact, bias, input_scale)
        written = quantize_weight(weight, scale, axis, floored, bounds)
        if adjustment.values is not None:
            grew = per_channel(np.asarray(scale > exact), weight.ndim, axis)
            written = replace(written, values=np.where(grew, written.values, adjustment.values))
        integers = self._restored(
            node, f"{value.name}", written.values, written.scale, axis, bits=self.options.weight_bits
        )
        node.replace_input_with(1, integers)
        if bias is not None:
            self._write_bias(node, f"{value.name}_bias", bias, input_scale, written)
        for attribute in ("alpha", "beta") if node.op_type == "Gemm" else ():
            node.attributes.pop(attribute, None)  # what is written holds both
        return written, bool(np.any(scale > plain))

    def _bias(self, node: ir.Node, shift: Array | None) -> Array | None:
        """The bias of a node, one number for each output channel; what a MatMul is shifted by goes behind it."""
        channels = output_channels(node)
        bias = effective_bias(node, channels)
        if shift is None:
            return bias
        if node.op_type != "MatMul":
            return np.asarray(shift if bias is None else bias + shift, np.float32)
        behind = bias_behind(node, channels)
        assert behind is not None  # a shift is made only where an Add can take it
        name = behind.add.inputs[behind.index]
        shifted = self._initializer(
            f"{name.name if name is not None else node.name}_shifted",
            (behind.content + shift).astype(np.float32),
        )
        behind.add.replace_input_with(behind.index, shifted)
        return None

    def _write_bias(
        self, node: ir.Node, name: str, bias: Array, input_scale: float, weight: WeightParameters
    ) -> None:
        """Write a bias in the integers that a kernel sums in, or in float where the target wants that."""
        old = node.inputs[2] if len(node.inputs) > 2 else None
        name = name if old is None else old.name or name
        node.resize_inputs(3)
        if not self.target.quantized_bias:
            node.replace_input_with(2, self._initializer(f"{name}_float", bias.astype(np.float32)))
            return
        steps, scale = quantize_bias(bias, input_scale, weight.scale)
        axis = 0 if weight.axis is not None else None
        node.replace_input_with(2, self._restored(node, name, steps, scale, axis))

    def _quantize_constants(self, node: ir.Node) -> None:
        kind = self.parameters[self.placement.root(activations(node)[0])].int_type
        symmetric, full = self.target.zero_point == "symmetric", self.options.weight_range == "full"
        for index, value in enumerate(node.inputs):
            array = constant(value)
            if array is None or value is None:
                continue
            low, high = float(array.min(initial=0.0)), float(array.max(initial=0.0))
            parameters = activation_parameters(low, high, kind, symmetric=symmetric, full=full)
            first, last = BOUNDS[kind]
            steps = np.rint(array.astype(np.float64) / parameters.scale) + parameters.zero_point
            integers = np.clip(steps, first, last).astype(NUMPY_TYPES[kind])
            zero = np.asarray(parameters.zero_point, NUMPY_TYPES[kind])
            restored = self._restored(
                node, f"{value.name}", integers, np.asarray(parameters.scale, np.float32), None, zero
            )
            node.replace_input_with(index, restored)

    def _restored(
        self,
        node: ir.Node,
        name: str,
        values: Array,
        scale: Array,
        axis: int | None,
        zero: Array | None = None,
        *,
        bits: int = 8,
    ) -> ir.Value:
        """An integer initializer with a DequantizeLinear before ``node``."""
        zeros = np.zeros(np.shape(scale), values.dtype) if zero is None else zero
        narrow = ir.DataType.INT4 if bits == 4 else None
        inputs = [
            self._initializer(f"{name}_quantized", values, narrow),
            self._initializer(f"{name}_scale", scale),
            self._initializer(f"{name}_zero_point", zeros, narrow),
        ]
        attributes = {} if axis is None else {"axis": axis}
        shape = ir.Shape(values.shape)
        restored = self._node(
            "DequantizeLinear", inputs, f"{name}_dequantized", ir.DataType.FLOAT, shape, attributes
        )
        self.graph.insert_before(node, restored)
        return restored.outputs[0]

    def _initializer(self, name: str, array: Array, dtype: ir.DataType | None = None) -> ir.Value:
        fresh = self._fresh(name)
        tensor = ir.tensor(np.asarray(array), dtype=dtype, name=fresh)
        value = ir.Value(
            name=fresh, type=ir.TensorType(tensor.dtype), shape=ir.Shape(np.shape(array)), const_value=tensor
        )
        self.graph.register_initializer(value)
        return value

    def _node(
        self,
        op: str,
        inputs: list[ir.Value],
        name: str,
        dtype: ir.DataType | None,
        shape: ir.Shape | None,
        attributes: Mapping[str, int] | None = None,
    ) -> ir.Node:
        fresh = self._fresh(name)
        output = ir.Value(name=fresh, type=ir.TensorType(dtype or ir.DataType.FLOAT), shape=shape)
        return ir.node(op, inputs, attributes=attributes or {}, outputs=[output], name=f"{fresh}_{op}")

    def _fresh(self, name: str) -> str:
        """A name that nothing has yet."""
        while name in self.names:
            name += "_"
        self.names.add(name)
        return name
