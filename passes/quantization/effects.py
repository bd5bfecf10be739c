"""What each node alone does to the outputs: one float graph with a switch before each node, run once a switch.

A node whose switch is on reads its inputs and its weight rounded as the quantized model has them, and hands on its
output rounded; all other nodes compute in float. So a node is judged by what it does to the model's outputs and not
by the noise at its own, and a node behind a bad one is not blamed for it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import Runner
from ...core.tensors import Array, Feed
from ..constants import add_constant
from .fidelity import decibels, float_outputs, power
from .insertion import NUMPY_TYPES
from .parameters import ActivationParameters, WeightParameters
from .placement import Placement, activations
from .quantizer import QuantizeOutcome, Quantizer, Trace
from .report import NodeEffect
from .twins import copy_placed

_QUIET = 1e-30
_ALIKE = 1.26
"""Noise ratios within this factor, one decibel, count as the same where the nodes share a value."""


def layer_effects(outcome: QuantizeOutcome, quantizer: Quantizer, *, samples: int = 32) -> list[NodeEffect]:
    """The effect of each integer node alone on the model's outputs, worst first, dynamic ones included.

    Args:
        outcome: A quantized model.
        quantizer: What it was made with.
        samples: Most calibration samples to measure on.
    """
    few = quantizer.data.subset(samples, seed=quantizer.options.seed)
    found = node_effects(outcome.trace, few, quantizer.runner) if outcome.trace.placement.nodes else []
    return _worst_first([*found, *outcome.trace.dynamic], outcome.trace.placement)


def _worst_first(effects: list[NodeEffect], placement: Placement) -> list[NodeEffect]:
    """In order of damage.

    Where a node and its reader do about the same, the value between them is at fault, and its maker comes first.
    """
    ratios = {effect.node: effect.noise_ratio for effect in effects}
    lifted = dict(ratios)
    for reader in reversed(placement.nodes):
        for maker in filter(None, map(placement.owner, activations(reader))):
            own, read = ratios.get(maker.name or ""), lifted[reader.name or ""]
            if own is not None and own * _ALIKE >= read:
                lifted[maker.name or ""] = max(lifted[maker.name or ""], read)
    order = {node.name: index for index, node in enumerate(placement.nodes)}
    return sorted(effects, key=lambda effect: (-lifted[effect.node], order.get(effect.node, len(order))))


def node_effects(
    trace: Trace, samples: CalibrationData, runner: Runner, *, batch_size: int = 32
) -> list[NodeEffect]:
    """The effect of each integer node alone on the model's outputs, worst first.

    Args:
        trace: What quantization decided.
        samples: The samples to measure on.
        runner: Executes the graph.
        batch_size: Most samples in one run.

    Returns:
        An entry for each integer node; of two that do about the same, one of which reads what the other makes, the
        maker first.
    """
    switched, flags = _switchboard(trace)
    outputs = float_outputs(trace.model)
    noise = np.zeros((len(flags), len(outputs)))
    signal = np.zeros(len(outputs))
    runs = runner.run(switched, _feeds(samples, flags, batch_size), outputs, optimize=True)
    for exact in runs:  # each batch comes once with all switches off, then once for each switch
        signal += [power(exact[name]) for name in outputs]
        for index in range(len(flags)):
            rounded = next(runs)
            noise[index] += [power(exact[name] - rounded[name]) for name in outputs]
    ratios = (noise / np.maximum(signal, _QUIET)).mean(axis=1) if outputs else noise.sum(axis=1)
    macs = trace.placement.macs
    found = [
        NodeEffect(node.name or "", node.op_type, decibels(ratio), float(ratio), macs.get(node.name or "", 0))
        for node, ratio in zip(trace.placement.nodes, ratios, strict=True)
    ]
    return _worst_first(found, trace.placement)


def _feeds(samples: CalibrationData, flags: list[str], batch_size: int) -> Iterator[Feed]:
    """Each batch with all switches off, and then with each one on."""
    for feed in samples.batches(samples.batch_size_for(batch_size)):
        for chosen in (None, *flags):
            yield {**feed, **{flag: np.asarray(flag == chosen) for flag in flags}}


def _switchboard(trace: Trace) -> tuple[ir.Model, list[str]]:
    """A copy of the float graph with a switch for each integer node; with the switches' names, in that order."""
    model, placement, parameters = copy_placed(trace.model, trace.placement, trace.parameters)
    board = _Board(model.graph, placement, parameters)
    for node in placement.nodes:
        board.add(node, trace.written.weights.get(node.name or ""))
    return model, board.flags


class _Board:
    """Writes switches into a graph.

    Args:
        graph: Changed in place.
        placement: What may be rounded, in the graph's own nodes and values.
        parameters: Scale and zero-point of each value that is quantized.
    """

    def __init__(
        self, graph: ir.Graph, placement: Placement, parameters: dict[ir.Value, ActivationParameters]
    ) -> None:
        self.graph = graph
        self.placement = placement
        self.parameters = parameters
        self.flags: list[str] = []
        self._inputs = {node: self._quantized_inputs(node) for node in placement.nodes}
        self._rounded: dict[ir.Value, ir.Value] = {}
        self._count = 0

    def add(self, node: ir.Node, weight: WeightParameters | None) -> None:
        """Put a switch before and behind one node."""
        flag = ir.Value(name=f"switch_{len(self.flags)}__", type=ir.TensorType(ir.DataType.BOOL))
        flag.shape = ir.Shape([])
        self.graph.inputs.append(flag)
        self.flags.append(flag.name or "")
        for index, found in self._inputs[node].items():
            exact = node.inputs[index]
            assert exact is not None
            rounded = self._round(exact, found)
            node.replace_input_with(index, self._choose(flag, rounded, exact, node))
        if weight is not None and node.inputs[1] is not None:
            alpha = node.attributes.get_float("alpha", 1.0) if node.op_type == "Gemm" else 1.0
            rounded = self._constant(
                weight.restored() / np.float32(alpha)
            )  # in float the node scales it itself
            node.replace_input_with(1, self._choose(flag, rounded, node.inputs[1], node))
        output = self.placement.absorbed.get(node, node).outputs[0]
        if output in self.parameters:
            self._switch_output(flag, output)

    def _quantized_inputs(self, node: ir.Node) -> dict[int, ActivationParameters]:
        """Which inputs of a node are quantized activations, and how; read before any switch stands there."""
        read = activations(node)
        return {
            index: self.parameters[value]
            for index, value in enumerate(node.inputs)
            if value in read and value in self.parameters
        }

    def _switch_output(self, flag: ir.Value, output: ir.Value) -> None:
        uses = list(output.uses())
        is_result, name, producer = output.is_graph_output(), output.name, output.producer()
        assert producer is not None
        if is_result:
            output.name = f"{name}__exact"
        rounded = self._round(output, self.parameters[output])
        last = rounded.producer()
        assert last is not None
        chosen = self._node("Where", [flag, rounded, output], output.dtype)
        self.graph.insert_after(last, chosen)
        result = chosen.outputs[0]
        result.shape, result.type = output.shape, output.type
        for use in uses:
            use.node.replace_input_with(use.idx, result)
        if is_result:
            result.name = name
            for index, value in enumerate(self.graph.outputs):
                if value is output:
                    self.graph.outputs[index] = result

    def _round(self, exact: ir.Value, found: ActivationParameters) -> ir.Value:
        """A value through a Q/DQ pair right behind its producer; one pair serves all its readers."""
        if exact in self._rounded:
            return self._rounded[exact]
        scale = self._constant(np.asarray(found.scale, np.float32))
        zero = self._constant(np.asarray(found.zero_point, NUMPY_TYPES[found.int_type]))
        quantized = self._node("QuantizeLinear", [exact, scale, zero], zero.dtype)
        restored = self._node("DequantizeLinear", [quantized.outputs[0], scale, zero], ir.DataType.FLOAT)
        producer = exact.producer()
        if producer is None:
            self.graph.insert_before(self.graph[0], [quantized, restored])
        else:
            self.graph.insert_after(producer, [quantized, restored])
        self._rounded[exact] = restored.outputs[0]
        return restored.outputs[0]

    def _choose(self, flag: ir.Value, rounded: ir.Value, exact: ir.Value, before: ir.Node) -> ir.Value:
        node = self._node("Where", [flag, rounded, exact], ir.DataType.FLOAT)
        self.graph.insert_before(before, node)
        return node.outputs[0]

    def _node(self, op: str, inputs: list[ir.Value], dtype: ir.DataType | None) -> ir.Node:
        self._count += 1
        output = ir.Value(name=f"switched_{self._count}__", type=ir.TensorType(dtype or ir.DataType.FLOAT))
        return ir.node(op, inputs, outputs=[output], name=f"switch_node_{self._count}__")

    def _constant(self, array: Array) -> ir.Value:
        return add_constant(self.graph, "switched_constant__", array)
