"""Writing QuantizeLinear and DequantizeLinear into the graph.

Each quantized value gets one QuantizeLinear and one DequantizeLinear that all its users share. Behind an integer
node everybody reads the dequantized value, graph outputs included, because ONNX Runtime joins the node with its
QuantizeLinear only where nothing else reads it; behind a float node only integer nodes do. Weights and biases
become integer initializers with a DequantizeLinear.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...core.targets import Target
from ...core.tensors import Array
from ..folding import constant
from .eligibility import role_of, weight_axis
from .options import QuantizeOptions
from .parameters import (
    BOUNDS,
    ActivationParameters,
    WeightParameters,
    activation_parameters,
    fit_bias,
    quantize_bias,
    quantize_weight,
    weight_scales,
)
from .placement import Placement, activations

_NUMPY = {"uint8": np.uint8, "int8": np.int8, "uint16": np.uint16, "int16": np.int16}


@dataclass(frozen=True)
class Written:
    """What insertion wrote.

    Attributes:
        weights: For each integer node with a constant weight, how it was quantized.
        taps: For each float value whose error can be measured, the value that stands for it now.
        widened: Nodes some of whose weight scales were enlarged so that the bias fits 32 bits.
    """

    weights: dict[str, WeightParameters]
    taps: dict[str, str]
    widened: tuple[str, ...]


class Writer:
    """Writes one placement into its graph.

    Args:
        graph: Changed in place.
        placement: What becomes integer.
        parameters: Scale and zero-point of each value of ``placement.values``.
        target: Decides the types.
        options: Decides the weights' ranges.
        symmetric: Whether activations are symmetric.
    """

    def __init__(
        self,
        graph: ir.Graph,
        placement: Placement,
        parameters: Mapping[ir.Value, ActivationParameters],
        target: Target,
        options: QuantizeOptions,
        *,
        symmetric: bool,
    ) -> None:
        self.graph = graph
        self.placement = placement
        self.parameters = parameters
        self.target = target
        self.options = options
        self.symmetric = symmetric
        self.names = {v.name for n in graph for v in n.outputs} | set(graph.initializers)
        self.names |= {v.name for v in graph.inputs}

    def write(self) -> Written:
        """Insert every Q/DQ pair."""
        taps: dict[str, str] = {}
        weights: dict[str, WeightParameters] = {}
        widened = []
        for node in self.placement.nodes:
            if role_of(node) == "linear":
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
        return Written(weights, taps, tuple(widened))

    def _quantize_value(self, value: ir.Value, integer: set[ir.Node], behind_integer: bool) -> str:
        """Put a pair behind a value; the name of the dequantized value."""
        name = value.name or ""
        uses = [u for u in value.uses() if behind_integer or u.node in integer]
        is_result = behind_integer and value.is_graph_output()
        if is_result:
            value.name = self._fresh(f"{name}_float")
            self.names.discard(name)
        parameters = self.parameters[value]
        scale = self._initializer(f"{name}_scale", np.asarray(parameters.scale, np.float32))
        zero = self._initializer(
            f"{name}_zero_point", np.asarray(parameters.zero_point, _NUMPY[parameters.int_type])
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
        value = node.inputs[1]
        weight, bias = constant(value), self._bias(node)
        assert weight is not None
        assert value is not None
        weight = _scaled(node, weight)
        axis = weight_axis(node) if self.options.per_channel else None
        reduced, style = self.target.reduce_range, self.options.weight_range
        exact, floored = weight_scales(weight, axis, reduce_range=reduced, weight_range=style)
        input_scale = self.parameters[self.placement.root(activations(node)[0])].scale
        scale = exact if bias is None else fit_bias(exact, bias, input_scale)
        written = quantize_weight(weight, scale, axis, floored, reduce_range=reduced, weight_range=style)
        node.replace_input_with(1, self._restored(node, f"{value.name}", written.values, written.scale, axis))
        if bias is not None:
            steps, bias_scale = quantize_bias(bias, input_scale, written.scale)
            name = node.inputs[2].name if node.inputs[2] is not None else f"{value.name}_bias"
            bias_axis = 0 if axis is not None else None
            node.replace_input_with(2, self._restored(node, f"{name}", steps, bias_scale, bias_axis))
        return written, bool(np.any(scale > exact))

    def _bias(self, node: ir.Node) -> Array | None:
        """The bias of a node, one number for each output channel; ``beta`` is folded in."""
        if node.op_type == "MatMul" or len(node.inputs) < 3 or node.inputs[2] is None:
            return None
        array, weight = constant(node.inputs[2]), constant(node.inputs[1])
        axis = weight_axis(node)
        assert array is not None
        assert weight is not None
        assert axis is not None
        beta = node.attributes.get_float("beta", 1.0) if node.op_type == "Gemm" else 1.0
        node.attributes.pop("beta", None)
        return np.broadcast_to(array.reshape(-1) * np.float32(beta), (weight.shape[axis],))

    def _quantize_constants(self, node: ir.Node) -> None:
        for index, value in enumerate(node.inputs):
            array = constant(value)
            if array is None or value is None:
                continue
            low, high = float(array.min(initial=0.0)), float(array.max(initial=0.0))
            parameters = activation_parameters(
                low, high, self.target.activation_type, symmetric=self.symmetric
            )
            first, last = BOUNDS[parameters.int_type]
            steps = np.rint(array.astype(np.float64) / parameters.scale) + parameters.zero_point
            integers = np.clip(steps, first, last).astype(_NUMPY[parameters.int_type])
            zero = np.asarray(parameters.zero_point, _NUMPY[parameters.int_type])
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
    ) -> ir.Value:
        """An integer initializer with a DequantizeLinear before ``node``."""
        zeros = np.zeros(np.shape(scale), values.dtype) if zero is None else zero
        inputs = [
            self._initializer(f"{name}_quantized", values),
            self._initializer(f"{name}_scale", scale),
            self._initializer(f"{name}_zero_point", zeros),
        ]
        attributes = {} if axis is None else {"axis": axis}
        shape = ir.Shape(values.shape)
        restored = self._node(
            "DequantizeLinear", inputs, f"{name}_dequantized", ir.DataType.FLOAT, shape, attributes
        )
        self.graph.insert_before(node, restored)
        return restored.outputs[0]

    def _initializer(self, name: str, array: Array) -> ir.Value:
        fresh = self._fresh(name)
        tensor = ir.tensor(np.asarray(array), name=fresh)
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


def _scaled(node: ir.Node, weight: Array) -> Array:
    """Take ``alpha`` of a Gemm into its weight."""
    attribute = node.attributes.pop("alpha", None) if node.op_type == "Gemm" else None
    return weight if attribute is None else weight * np.float32(attribute.as_float())
