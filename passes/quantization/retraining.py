"""A quantized graph in a form that can be trained, and back: quantization-aware training without its source.

The placement stays. Activations go through their Q/DQ pairs with scales that may be trained; weights and biases stay float,
for whoever trains rounds the weights with the scales stated here (Jacob et al. 2018, arXiv:1712.05877; learned scales: Esser
et al. 2020, arXiv:1902.08153). Afterwards the same writer as ever writes the integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as stock

from ...core.errors import ModelError
from ...core.tensors import Array
from ..base import validate
from .absorption import clip_limits
from .eligibility import role_of, scale_axis
from .insertion import Writer
from .linear_nodes import effective_weight
from .options import bounds_of
from .parameters import (
    SCALE_FLOOR,
    ActivationParameters,
    WeightAdjustment,
    per_channel,
    quantize_weight,
)
from .quantizer import QuantizeOutcome, Quantizer, Trace
from .twins import copy_placed


@dataclass(frozen=True)
class RoundedWeight:
    """A float weight that is rounded in training.

    Attributes:
        node: The node that reads it.
        initializer: Its name.
        scale: The scales to begin with, of a shape that broadcasts to the weight; float32.
        lowest: The smallest integer.
        highest: The largest integer.
    """

    node: str
    initializer: str
    scale: Array
    lowest: int
    highest: int


@dataclass(frozen=True)
class RetrainableGraph:
    """A graph to train.

    Attributes:
        model: Activations go through Q/DQ, weights and biases are float.
        weights: The weights to round.
        scales: For each scale of an activation that may be trained, the name of its initializer, by the name of the value in
            the float graph.
    """

    model: ir.Model
    weights: tuple[RoundedWeight, ...]
    scales: Mapping[str, str]


def retrainable(quantizer: Quantizer, outcome: QuantizeOutcome) -> RetrainableGraph:
    """The graph of an outcome, to be trained.

    Args:
        quantizer: What the outcome was made with.
        outcome: A statically quantized model; layers that became dynamic stay float.

    Raises:
        ModelError: A weight is read by two nodes that round it differently, or a Gemm scales its weight.
    """
    trace, target, options = outcome.trace, quantizer.target, quantizer.options
    model, placement, parameters = copy_placed(trace.model, trace.placement, trace.parameters)
    writer = Writer(model.graph, placement, parameters, target, options, keeps_weights=True)
    weights: dict[str, RoundedWeight] = {}
    for node in placement.nodes:
        if role_of(node) == "linear":
            made = _rounded(node, quantizer, trace)
            before = weights.setdefault(made.initializer, made)
            if before.scale.shape != made.scale.shape:
                raise ModelError(
                    f"weight {made.initializer!r} is rounded differently by {before.node!r} and {made.node!r}",
                    remedy="keep one of them float with --exclude",
                )
    scales = writer.write().scales
    limited = {
        placement.root(behind.outputs[0]).name
        for behind in placement.absorbed.values()
        if clip_limits(behind) is not None
    }
    stock.RemoveUnusedNodesPass()(model)
    validate(model)
    return RetrainableGraph(
        model,
        tuple(weights.values()),
        {value: name for value, name in scales.items() if value not in limited},
    )


def retrained(
    quantizer: Quantizer,
    outcome: QuantizeOutcome,
    graph: RetrainableGraph,
    trained: Mapping[str, Array],
    weight_scales: Mapping[str, Array],
) -> QuantizeOutcome:
    """Write the integers of a trained graph.

    Args:
        quantizer: What the outcome was made with.
        outcome: What the training began from.
        graph: What was trained.
        trained: The initializers of the trained graph, by name: weights before rounding, biases, scales of activations.
        weight_scales: The trained scales by the name of the weight, of the shapes that training began with.
    """
    trace = outcome.trace
    for name, value in trace.model.graph.initializers.items():
        if name in trained and value.const_value is not None:
            value.const_value = ir.tensor(np.ascontiguousarray(trained[name]), name=name)
    parameters = {}
    for value, before in trace.parameters.items():
        name = graph.scales.get(trace.placement.root(value).name or "", "")
        parameters[value] = _with_scale(before, trained[name]) if name in trained else before
    bounds = bounds_of(quantizer.target, quantizer.options)
    adjustments = {}
    nodes = {node.name: node for node in trace.placement.nodes}
    for rounded in graph.weights:
        for node in nodes.values():
            if (
                role_of(node) == "linear"
                and node.inputs[1] is not None
                and node.inputs[1].name == rounded.initializer
            ):
                axis = scale_axis(node, quantizer.target, quantizer.options)
                weight = effective_weight(node)
                scale = np.maximum(
                    weight_scales[rounded.initializer].astype(np.float64).reshape(-1), SCALE_FLOOR
                )
                shaped = scale if axis is not None else scale[0]
                values = quantize_weight(weight, shaped, axis, 0, bounds).values
                adjustments[node.name or ""] = WeightAdjustment(scale=shaped, values=values)
    return quantizer.written(trace, parameters, adjustments)


def _rounded(node: ir.Node, quantizer: Quantizer, trace: Trace) -> RoundedWeight:
    value, weight = node.inputs[1], effective_weight(node)
    assert value is not None
    if value.const_value is None or not np.array_equal(weight, value.const_value.numpy()):
        raise ModelError(
            f"the weight of {node.name!r} is scaled by the node, and cannot be rounded in training",
            remedy="keep it float with --exclude",
        )
    written = trace.written.weights[node.name or ""]
    lowest, highest = bounds_of(quantizer.target, quantizer.options)
    scale = np.asarray(per_channel(written.scale, weight.ndim, written.axis), np.float32)
    return RoundedWeight(node.name or "", value.name or "", scale, lowest, highest)


def _with_scale(before: ActivationParameters, scale: Array) -> ActivationParameters:
    return replace(before, scale=float(np.float32(max(float(np.reshape(scale, -1)[0]), SCALE_FLOOR))))
