"""What each layer that could become dynamic alone does to the outputs.

A dynamic kernel takes its range from what it reads in the run. Where that has a long tail (the power of a spectrum), most
of it falls below one step, and no choice of weights helps: such a layer is better left in float.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import Runner
from ...core.targets import Target
from ..folding import constant
from ..output_error import OutputError
from .dynamic import DynamicOptions, each_alone, quantize_recurrent
from .fidelity import decibels, float_outputs
from .report import NodeEffect

BEARABLE_RATIO = 0.01
"""Noise over signal at the outputs, 20 dB, that one dynamic layer may cause."""


def dynamic_effects(
    model: ir.Model,
    options: DynamicOptions,
    *,
    target: Target,
    data: CalibrationData,
    runner: Runner,
    samples: int = 16,
) -> list[NodeEffect]:
    """Make each layer dynamic that :func:`~.dynamic.quantize_recurrent` would, alone, and measure the outputs.

    Args:
        model: A cleaned float model, left as it is.
        options: How.
        target: Decides whether weights keep to 7 bits.
        data: The samples to measure on.
        runner: Executes graphs.
        samples: Most samples that are used.
    """
    measured: OutputError | None = None  # the model runs only where there is something to compare
    outputs = float_outputs(model)
    nodes = {node.name: node for node in ir.traversal.RecursiveGraphIterator(model.graph)}
    found = []
    for name, alone in each_alone(model, partial(quantize_recurrent, options=options, target=target)):
        measured = measured or OutputError(model, data, runner, samples=samples)
        errors = measured.of(alone)
        ratio = float(np.mean([errors[output] ** 2 for output in outputs])) if outputs else 0.0
        found.append(NodeEffect(name, nodes[name].op_type, decibels(ratio), ratio, _weights_of(nodes[name])))
    return found


def unbearable(effects: list[NodeEffect]) -> dict[str, str]:
    """The layers that had better stay in float, by name, with the reason."""
    return {
        effect.node: f"{effect.op}: made dynamic, it alone leaves the outputs {effect.sqnr_db:.1f} dB above its noise; "
        f"{decibels(BEARABLE_RATIO):.0f} are asked for"
        for effect in effects
        if effect.noise_ratio > BEARABLE_RATIO
    }


def _weights_of(node: ir.Node) -> int:
    """Elements of a node's weights, which are its multiply-accumulates in one step."""
    arrays = [constant(value) for value in node.inputs[1:3]]
    return sum(array.size for array in arrays if array is not None)
