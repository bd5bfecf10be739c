"""The pace: a small fixed workload of our own, timed along with models.

Milliseconds of two moments of a machine do not compare: the clock is another one, and others want the cores. How many
times the pace a model takes does, because what slows the one slows the other: as long as both run equally long at a
stretch, for a long run is interrupted more often than a short one. The graph must not change as long as :data:`PACE`
keeps its name.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..core import ModelArtifact
from ..core.tensors import Array
from .intervals import Matrix

PACE = "sardonyx.pace/1"
"""Which workload it is; times relative to another one do not compare."""

_SIDE = 32
_LAYERS = (("entry", 3, 32, 1), ("down", 32, 64, 2), ("middle", 64, 64, 1), ("exit", 64, 64, 1))
"""Name, channels in and out, and stride of each 3 x 3 convolution."""


def pace_model() -> ModelArtifact:
    """Four convolutions and two matrix products, 35 million multiply-accumulates, the same on every machine.

    Returns:
        A model with the input ``x`` of shape ``(1, 3, 32, 32)``.
    """
    x = ir.val("x", ir.DataType.FLOAT, [1, 3, _SIDE, _SIDE])
    nodes: list[ir.Node] = []
    constants: list[ir.Value] = []

    def add(operator: str, name: str, value: ir.Value, *more: ir.Value, **attributes: list[int]) -> ir.Value:
        constants.extend(more)
        nodes.append(ir.node(operator, [value, *more], attributes, name=name))
        return nodes[-1].outputs[0]

    value = x
    for name, inputs, outputs, stride in _LAYERS:
        weight = _weight(name, (outputs, inputs, 3, 3))
        value = add("Conv", name, value, weight, pads=[1, 1, 1, 1], strides=[stride, stride])
        value = add("Relu", f"{name}_relu", value)
    value = add("Reshape", "rows", value, _constant("rows_shape", np.array([64, 256], np.int64)))
    value = add("MatMul", "widen", value, _weight("widen", (256, 512)))
    value = add("MatMul", "narrow", value, _weight("narrow", (512, 64)))
    value.name, value.shape, value.dtype = "y", ir.Shape([64, 64]), ir.DataType.FLOAT
    graph = ir.Graph([x], [value], nodes=nodes, initializers=constants, opset_imports={"": 17}, name="pace")
    return ModelArtifact.of(ir.Model(graph, ir_version=8))


def relative_to_pace(runs_ms: Matrix, pace_ms: Matrix) -> Matrix:
    """How many times the pace a run takes, round by round.

    Runs of the shorter of both are put together to stretches as long as a run of the longer, as far as there are
    enough of them: other work that takes the core then hits both alike.

    Args:
        runs_ms: Milliseconds of a model's runs, shape ``(rounds, runs)``.
        pace_ms: The same of the pace, in the same rounds.

    Returns:
        Ratios, shape ``(rounds,)``.
    """
    stretch_ms = max(float(np.median(runs_ms)), float(np.median(pace_ms)))
    return _stretches(runs_ms, stretch_ms) / _stretches(pace_ms, stretch_ms)


def _stretches(runs_ms: Matrix, stretch_ms: float) -> Matrix:
    """In each round the median over stretches of the mean run."""
    rounds, count = runs_ms.shape
    length = min(max(round(stretch_ms / float(np.median(runs_ms))), 1), count)
    whole = runs_ms[:, : count // length * length].reshape(rounds, -1, length)
    return np.asarray(np.median(whole.mean(axis=2), axis=1))


def _weight(name: str, shape: tuple[int, ...]) -> ir.Value:
    """A sine instead of random numbers, whose streams may change between versions of numpy."""
    count = int(np.prod(shape))
    wave = np.sin(np.arange(1, count + 1, dtype=np.float64)) / np.sqrt(count / shape[0])
    return _constant(f"{name}_weight", wave.reshape(shape).astype(np.float32))


def _constant(name: str, array: Array) -> ir.Value:
    return ir.Value(name=name, const_value=ir.tensor(array, name=name))
