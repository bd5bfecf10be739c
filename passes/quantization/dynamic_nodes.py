"""Matrix products and convolutions of integers, with activations quantized in the run.

The pattern is the one that ONNX Runtime joins to ``DynamicQuantizeMatMul`` where one product reads the activation, and
to ``MatMulIntegerToFloat`` behind one DynamicQuantizeLinear where several do (the projections of an attention).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from ...core.reports import Skip
from ...core.tensors import Array
from ..constants import add_constant
from ..folding import constant
from .constant_products import (
    bias_nodes,
    graph_of,
    matrix_of,
    put_in_place,
)
from .eligibility import is_named, require_finite
from .parameters import WeightParameters, quantize_weight, weight_bounds, weight_scales
from .weight_errors import WeightError, sqnr_db


@dataclass
class ActivationQuantizers:
    """One DynamicQuantizeLinear for each value and graph, shared by all that read it there.

    Attributes:
        made: Those that stand already.
    """

    made: dict[tuple[ir.Value, ir.Graph], ir.Node] = field(default_factory=dict)

    def before(self, node: ir.Node) -> Sequence[ir.Value]:
        """Integers, scale and zero-point of what a node reads first; the pair stands before the first reader."""
        value, graph = node.inputs[0], graph_of(node)
        assert value is not None
        if (value, graph) not in self.made:
            name = f"{value.name}/dynamic/{node.name}"
            quantizer = ir.node("DynamicQuantizeLinear", [value], num_outputs=3, name=name)
            for output, part in zip(quantizer.outputs, ("quantized", "scale", "zero_point"), strict=True):
                output.name = f"{name}/{part}"
            graph.insert_before(node, quantizer)
            self.made[value, graph] = quantizer
        return self.made[value, graph].outputs


def replace_product(
    node: ir.Node, quantizers: ActivationQuantizers, *, per_channel: bool, reduce_range: bool
) -> WeightError:
    """Put an integer product in the place of a MatMul or Gemm with a constant matrix.

    Args:
        node: One that :func:`~.constant_products.why_no_product` has nothing against.
        quantizers: Those of the activations.
        per_channel: Whether each output column has a scale.
        reduce_range: Whether the integers keep to 7 bits.
    """
    matrix = matrix_of(node)
    weight = round_weight(matrix, 1 if per_channel else None, reduce_range=reduce_range)
    nodes = list(_scaled(node, "MatMulInteger", quantizers, weight.values, weight.scale, {}))
    nodes += bias_nodes(node, nodes[-1].outputs[0])
    error = _error(node, matrix, weight)
    put_in_place(node, nodes)
    return error


def why_no_convolution(node: ir.Node, exclude: Sequence[str]) -> Skip | None:
    """Why a convolution cannot be made dynamic, or None.

    Raises:
        ModelError: The weight is not finite.
    """
    weight = constant(node.inputs[1])
    if is_named(node, exclude):
        return Skip(node.name or "", None, "excluded", "excluded by the user")
    if weight is None or weight.dtype != np.float32:
        return Skip(node.name or "", None, "constant", "its weight is not a float32 constant")
    require_finite(node, 1)
    return None


def replace_convolution(
    node: ir.Node, quantizers: ActivationQuantizers, *, per_channel: bool, reduce_range: bool
) -> WeightError:
    """Put an integer convolution in the place of one with a constant weight.

    Weights are written as uint8 with zero-point 128, which every version of ONNX Runtime's kernel takes.

    Args:
        node: One that :func:`why_no_convolution` has nothing against.
        quantizers: Those of the activations.
        per_channel: Whether each output channel has a scale.
        reduce_range: Whether the integers keep to 7 bits.
    """
    array = constant(node.inputs[1])
    assert array is not None
    weight = round_weight(array, 0 if per_channel else None, reduce_range=reduce_range)
    spread = (-1,) + (1,) * (array.ndim - 2)
    scale = weight.scale.reshape(spread) if per_channel else weight.scale
    values = (weight.values.astype(np.int16) + 128).astype(np.uint8)
    nodes = list(_scaled(node, "ConvInteger", quantizers, values, scale, dict(node.attributes)))
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None:
        axes = np.arange(1, array.ndim - 1)
        shape = add_constant(graph_of(node), f"{node.name}.bias_shape", np.array([-1, *(1 for _ in axes)]))
        nodes.append(ir.node("Reshape", [bias, shape], name=f"{node.name}_spread"))
        nodes.append(ir.node("Add", [nodes[-2].outputs[0], nodes[-1].outputs[0]], name=f"{node.name}_bias"))
    error = _error(node, array, weight)
    put_in_place(node, nodes)
    return error


def round_weight(weight: Array, axis: int | None, *, reduce_range: bool) -> WeightParameters:
    """A weight in int8 about zero, with a scale for each index of an axis, or one."""
    bounds = weight_bounds(7 if reduce_range else 8)
    scale, floored = weight_scales(weight, axis, bounds)
    return quantize_weight(weight, scale, axis, floored, bounds)


def _scaled(
    node: ir.Node,
    op_type: str,
    quantizers: ActivationQuantizers,
    values: Array,
    scale: Array,
    attributes: dict[str, ir.Attr],
) -> Iterator[ir.Node]:
    """The integer operator, and the float number that its result stands for."""
    graph, stem = graph_of(node), f"{node.name}.weight"
    weight = add_constant(graph, f"{stem}_quantized", values)
    middle = np.asarray(128 if values.dtype == np.uint8 else 0, values.dtype)
    integers, step, zero = quantizers.before(node)
    inputs = [integers, weight, zero, add_constant(graph, f"{stem}_zero_point", middle)]
    product = ir.node(op_type, inputs, attributes=attributes or None, name=node.name)
    cast = ir.node(
        "Cast", [product.outputs[0]], attributes={"to": ir.DataType.FLOAT.value}, name=f"{node.name}_cast"
    )
    steps = ir.node("Mul", [step, add_constant(graph, f"{stem}_scale", scale)], name=f"{node.name}_step")
    scaled = ir.node("Mul", [cast.outputs[0], steps.outputs[0]], name=f"{node.name}_scale")
    yield from (product, cast, steps, scaled)


def _error(node: ir.Node, weight: Array, rounded: WeightParameters) -> WeightError:
    size = rounded.values.nbytes + rounded.scale.nbytes
    return WeightError(node.name or "", sqnr_db(weight, rounded.restored()), size)
