"""Batch statistics that a graph still holds, estimated anew after a cut.

A BatchNormalization that could not be folded (behind a Relu, say) carries the mean and variance that its input had
before the cut. Where the repair before it has left them a little off, they are moved by what the samples say, so that
what comes out has the mean and variance it had (Li et al., Adaptive Batch Normalization, 2016).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.observers import Moments
from ...calib_data.runner import Runner
from ...core.tensors import Array
from .positions import BATCH

Vector = npt.NDArray[np.float64]

_SMALLEST = 1e-12


@dataclass(frozen=True)
class _Statistics:
    """What a BatchNormalization holds, each of shape ``(channels,)``."""

    scale: Vector
    bias: Vector
    mean: Vector
    variance: Vector
    epsilon: float

    def apply(self, array: Array, axis: int = 1) -> Vector:
        shape = [1] * array.ndim
        shape[axis] = -1
        factor = self.scale / np.sqrt(self.variance + self.epsilon)
        found: Vector = (array - self.mean.reshape(shape)) * factor.reshape(shape) + self.bias.reshape(shape)
        return found

    def moved(self, now: Moments, before: Moments) -> _Statistics:
        """What gives the output the mean and variance that it had."""
        ratio = (now.variance + _SMALLEST) / (before.variance + _SMALLEST)
        variance = np.maximum((self.variance + self.epsilon) * ratio - self.epsilon, 0.0)
        mean = now.mean - (before.mean - self.mean) * np.sqrt(ratio)
        return _Statistics(self.scale, self.bias, mean, variance, self.epsilon)


def reestimate(
    node: ir.Node,
    model: ir.Model,
    original: ir.Model,
    alive: Mapping[tuple[ir.Value, int], npt.NDArray[np.int64]],
    parts: tuple[CalibrationData, CalibrationData],
    runner: Runner,
) -> tuple[float, float] | None:
    """Estimate the statistics of one BatchNormalization anew, if that is better on held-out samples.

    Args:
        node: The node, in the cut graph; its mean and variance are replaced.
        model: The cut graph.
        original: The graph before any cut.
        alive: Which channels are left.
        parts: Samples to learn from, and samples that judge.
        runner: Executes both graphs.

    Returns:
        The difference from the original's output on held-out samples as a share of its variance, before and after;
        None where it stays as it was.
    """
    held = _statistics_of(node)
    source = node.inputs[0]
    if held is None or source is None or not source.name:
        return None
    kept = alive.get((node.inputs[1], 0)) if node.inputs[1] is not None else None
    now, before = Moments(1), Moments(1)
    for cut, whole in _pairs(source.name, model, original, parts[0], runner):
        now.update(cut)
        before.update(whole if kept is None else whole.take(kept, axis=1))
    fresh = held.moved(now, before)
    errors = np.zeros(2)
    energy = _SMALLEST
    original_held = _original(node, original)
    for cut, whole in _pairs(source.name, model, original, parts[1], runner):
        wanted = original_held.apply(whole)
        wanted = wanted if kept is None else wanted.take(kept, axis=1)
        axes = (0, *range(2, wanted.ndim))
        energy += float(((wanted - wanted.mean(axes, keepdims=True)) ** 2).sum())
        errors += [float(((s.apply(cut) - wanted) ** 2).sum()) for s in (held, fresh)]
    if errors[1] >= errors[0]:
        return None
    for place, content in ((3, fresh.mean), (4, fresh.variance)):
        value = node.inputs[place]
        assert value is not None
        assert value.const_value is not None
        dtype = value.const_value.dtype
        value.const_value = ir.tensor(content.astype(dtype.numpy()), dtype=dtype, name=value.name)
    return float(errors[0] / energy), float(errors[1] / energy)


def _pairs(
    name: str, model: ir.Model, original: ir.Model, data: CalibrationData, runner: Runner
) -> list[tuple[Array, Array]]:
    runs = (runner.run(graph, data.batches(BATCH), [name], optimize=True) for graph in (model, original))
    return [(cut[name], whole[name]) for cut, whole in zip(*runs, strict=True)]


def _original(node: ir.Node, original: ir.Model) -> _Statistics:
    """The statistics of the node that makes the same output in the graph before any cut."""
    name = node.outputs[0].name
    found = _statistics_of(next(n for n in original.graph if n.outputs[0].name == name))
    assert found is not None
    return found


def _statistics_of(node: ir.Node) -> _Statistics | None:
    """What an inference-time BatchNormalization holds in constants of its own; None for any other node."""
    if node.op_type != "BatchNormalization" or node.domain not in {"", "ai.onnx"}:
        return None
    values = [v for v in node.inputs[1:5] if v is not None and v.const_value is not None]
    if len(values) < 4 or len(node.outputs) > 1 or any(len(v.uses()) > 1 for v in values[2:]):
        return None
    scale, bias, mean, variance = (
        np.asarray(v.const_value.numpy(), np.float64) for v in values if v.const_value is not None
    )
    return _Statistics(scale, bias, mean, variance, float(node.attributes.get_float("epsilon", 1e-5) or 1e-5))
