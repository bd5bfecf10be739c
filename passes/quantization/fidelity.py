"""The error of each layer: the float and the quantized model run over the same samples, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import Runner
from ...calib_data.visits import fit_together
from ...core.errors import ModelError
from ...core.tensors import Array
from .costs import Shape
from .insertion import Written
from .options import QuantizeOptions
from .placement import Placement, activations
from .report import LayerError

_QUIET = 1e-30
_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE})

Ratios = dict[tuple[str, str], float]
"""Noise over signal of a value of the float model against one of the quantized model, by both names."""


def noise_ratios(
    models: tuple[ir.Model, ir.Model],
    taps: Mapping[str, str],
    outputs: Sequence[str],
    samples: CalibrationData,
    options: QuantizeOptions,
    runner: Runner,
    shapes: Mapping[str, Shape],
) -> Ratios:
    """Noise power over signal power of values, accumulated over the samples.

    The values are visited in as many runs as the memory cap asks for.

    Args:
        models: The float and the quantized model.
        taps: For each value of the float model, the one of the quantized model that stands for it.
        outputs: Outputs of both models, compared with those of the same name.
        samples: The samples to measure on.
        options: How much memory, and the largest batch.
        runner: Executes both models.
        shapes: The shape of each value on one sample.

    Returns:
        For each value of the float model and the one that it was compared with, noise over signal; 0 where both are
        zero.

    Raises:
        ModelError: A value of the quantized model is not finite.
    """
    pairs = dict.fromkeys([*taps.items(), *((name, name) for name in outputs)])
    sizes = {pair: 2 * 4 * math.prod(shapes.get(pair[0], ())) for pair in pairs}
    found: Ratios = {}
    for part in fit_together(sizes, options.memory_bytes):
        held = max(sum(sizes[pair] for pair in part), 1)
        size = max(1, min(options.batch_size, options.memory_bytes // held))
        found |= _visit(models, part, samples, runner, samples.batch_size_for(size))
    return found


def _visit(
    models: tuple[ir.Model, ir.Model],
    pairs: Sequence[tuple[str, str]],
    samples: CalibrationData,
    runner: Runner,
    size: int,
) -> Ratios:
    """Run both models once over the samples."""
    signal, noise = dict.fromkeys(pairs, 0.0), dict.fromkeys(pairs, 0.0)
    exact = runner.run(models[0], samples.batches(size), [one for one, _ in pairs], optimize=False)
    rounded = runner.run(models[1], samples.batches(size), [other for _, other in pairs], optimize=False)
    for left, right in zip(exact, rounded, strict=True):
        for pair in pairs:
            one, other = left[pair[0]].astype(np.float64), right[pair[1]].astype(np.float64)
            error = power(one - other)
            if not math.isfinite(error):
                raise ModelError(f"{pair[1]} is not finite", remedy="use another method or exclude its node")
            signal[pair] += power(one)
            noise[pair] += error
    return {pair: noise[pair] / max(signal[pair], _QUIET) if noise[pair] else 0.0 for pair in pairs}


def power(array: Array) -> float:
    """The sum of the squares of all elements, the same to the last bit by any number of threads."""
    return float(np.square(array, dtype=np.float64).sum())


def layer_errors(ratios: Ratios, placement: Placement, written: Written) -> list[LayerError]:
    """The error at the output of each integer node.

    Args:
        ratios: What :func:`noise_ratios` found.
        placement: What became integer, in the float model's nodes and values.
        written: Where each value went.
    """
    found = []
    for node in placement.nodes:
        output = placement.absorbed.get(node, node).outputs[0].name or ""
        read = [(v.name or "", written.taps.get(v.name or "", "")) for v in activations(node)]
        before = max((ratios.get(pair, 0.0) for pair in read), default=0.0)
        ratio = ratios[output, written.taps[output]]
        macs = placement.macs.get(node.name or "", 0)
        found.append(
            LayerError(node.name or "", node.op_type, decibels(ratio), ratio, max(ratio - before, 0.0), macs)
        )
    return found


def output_error(ratios: Ratios, outputs: Sequence[str]) -> float:
    """Noise power over signal power at the model's float outputs, the mean of all of them.

    Args:
        ratios: What :func:`noise_ratios` found.
        outputs: Names of the outputs.
    """
    return sum(ratios[name, name] for name in outputs) / max(len(outputs), 1)


def float_outputs(model: ir.Model) -> list[str]:
    """Names of the outputs that hold float numbers."""
    return [v.name or "" for v in model.graph.outputs if v.dtype in _FLOATS]


def decibels(ratio: float) -> float:
    """Signal to noise in decibels from noise over signal, at most 200."""
    return min(-10.0 * math.log10(max(ratio, 1e-20)), 200.0)


def sample_shapes_of(model: ir.Model, data: CalibrationData, runner: Runner) -> dict[str, Shape]:
    """The shape of every float value of the main graph on one sample, seen in a run."""
    names = [v.name for v in _float_values(model) if v.name]
    feed = next(iter(data.batches(data.batch_size_for(1))))
    values = next(iter(runner.run(model, [feed], names, optimize=False)))
    return {name: tuple(array.shape) for name, array in values.items() if array.size}


def _float_values(model: ir.Model) -> Sequence[ir.Value]:
    inputs = [v for v in model.graph.inputs if not v.is_initializer()]
    outputs = [v for node in model.graph for v in node.outputs]
    # A sequence of floats says that it is of floats too.
    return [
        v for v in (*inputs, *outputs) if v.dtype == ir.DataType.FLOAT and isinstance(v.type, ir.TensorType)
    ]
