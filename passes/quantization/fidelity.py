"""The error of each layer: the float and the quantized model run over the same samples, side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import Runner
from ...core.errors import ModelError
from ...core.tensors import Array
from .costs import Shape
from .insertion import Written
from .options import QuantizeOptions
from .placement import Placement, activations
from .report import LayerError

_QUIET = 1e-30
FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE})


def noise_ratios(
    models: tuple[ir.Model, ir.Model],
    taps: Mapping[str, str],
    data: CalibrationData,
    runner: Runner,
    *,
    batch_size: int,
) -> dict[str, float]:
    """Noise power over signal power of values, accumulated over the samples.

    Args:
        models: The float and the quantized model.
        taps: For each value of the float model, the one of the quantized model that stands for it.
        data: The samples.
        runner: Executes both models.
        batch_size: Most samples in one run.

    Returns:
        For each value of the float model, noise over signal; 0 where both are zero.

    Raises:
        ModelError: A value of the quantized model is not finite.
    """
    signal, noise = dict.fromkeys(taps, 0.0), dict.fromkeys(taps, 0.0)
    size = data.batch_size_for(batch_size)
    exact = runner.run(models[0], data.batches(size), list(taps), optimize=False)
    rounded = runner.run(models[1], data.batches(size), list(taps.values()), optimize=False)
    for left, right in zip(exact, rounded, strict=True):
        for name, tap in taps.items():
            power, error = _powers(left[name], right[tap])
            if not math.isfinite(error):
                raise ModelError(f"{tap} is not finite", remedy="use another method or exclude its node")
            signal[name] += power
            noise[name] += error
    return {name: noise[name] / max(signal[name], _QUIET) if noise[name] else 0.0 for name in taps}


def _powers(exact: Array, rounded: Array) -> tuple[float, float]:
    left, right = exact.astype(np.float64).ravel(), rounded.astype(np.float64).ravel()
    error = left - right
    return float(left @ left), float(error @ error)


def layer_errors(
    models: tuple[ir.Model, ir.Model],
    placement: Placement,
    written: Written,
    samples: CalibrationData,
    options: QuantizeOptions,
    runner: Runner,
    shapes: Mapping[str, Shape],
) -> list[LayerError]:
    """The error at the output of each integer node.

    The values are visited in as many runs as the memory cap asks for.

    Args:
        models: The float and the quantized model.
        placement: What became integer, in the float model's nodes and values.
        written: Where each value went.
        samples: The samples to measure on.
        options: How much memory.
        runner: Executes both models.
        shapes: The shape of each value on one sample.
    """
    ratios: dict[str, float] = {}
    for part, size in _parts(written.taps, shapes, options):
        ratios |= noise_ratios(models, part, samples, runner, batch_size=size)
    found = []
    for node in placement.nodes:
        output = placement.absorbed.get(node, node).outputs[0].name or ""
        before = max((ratios.get(v.name or "", 0.0) for v in activations(node)), default=0.0)
        ratio = ratios[output]
        macs = placement.macs.get(node.name or "", 0)
        found.append(
            LayerError(node.name or "", node.op_type, decibels(ratio), ratio, max(ratio - before, 0.0), macs)
        )
    return found


def output_error(
    models: tuple[ir.Model, ir.Model], samples: CalibrationData, runner: Runner, *, batch_size: int
) -> float:
    """Noise power over signal power at the model's float outputs, the mean of all of them.

    Args:
        models: The float and the quantized model, whose outputs have the same names.
        samples: The samples to measure on.
        runner: Executes both models.
        batch_size: Most samples in one run.
    """
    names = float_outputs(models[0])
    if not names:
        return 0.0
    ratios = noise_ratios(models, {n: n for n in names}, samples, runner, batch_size=batch_size)
    return sum(ratios.values()) / len(ratios)


def float_outputs(model: ir.Model) -> list[str]:
    """Names of the outputs that hold float numbers."""
    return [v.name or "" for v in model.graph.outputs if v.dtype in FLOATS]


def decibels(ratio: float) -> float:
    """Signal to noise in decibels from noise over signal, at most 200."""
    return min(-10.0 * math.log10(max(ratio, 1e-20)), 200.0)


def _parts(
    taps: Mapping[str, str], shapes: Mapping[str, Shape], options: QuantizeOptions
) -> Iterator[tuple[dict[str, str], int]]:
    """Split the values so that one batch of a part, of both models, fits the cap; with the batch size."""
    part: dict[str, str] = {}
    total = 0
    for name, tap in taps.items():
        size = 2 * 4 * math.prod(shapes[name])
        if part and total + size > options.memory_bytes:
            yield part, _batch(total, options)
            part, total = {}, 0
        part[name] = tap
        total += size
    if part:
        yield part, _batch(total, options)


def _batch(size: int, options: QuantizeOptions) -> int:
    return max(1, min(options.batch_size, options.memory_bytes // max(size, 1)))


def sample_shapes_of(model: ir.Model, data: CalibrationData, runner: Runner) -> dict[str, Shape]:
    """The shape of every float value of the main graph on one sample, seen in a run."""
    names = [v.name for v in _float_values(model) if v.name]
    feed = next(iter(data.batches(data.batch_size_for(1))))
    values = next(iter(runner.run(model, [feed], names, optimize=False)))
    return {name: tuple(array.shape) for name, array in values.items() if array.size}


def _float_values(model: ir.Model) -> Sequence[ir.Value]:
    inputs = [v for v in model.graph.inputs if not v.is_initializer()]
    outputs = [v for node in model.graph for v in node.outputs]
    return [v for v in (*inputs, *outputs) if v.dtype == ir.DataType.FLOAT]
