"""Relations between a graph and its quantized twin, and between what two tools make of the same ranges."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
import onnx_ir as ir
import pytest
from cuts import noise
from graph_oracles import differences, feed_of, outputs_of, tolerance_of
from quantization_graphs import Graph, Values, float_values
from quantize_static_oracle import (
    DIFFERENCES,
    OURS,
    PER_CHANNEL,
    SET_DIFFERENCES,
    SYMMETRIC,
    Setting,
    bias_of_another_shape,
    channels_in_groups,
    compare,
    same,
)
from relations import Relation
from sardonyx.calib_data import OrtRunner
from sardonyx.core.errors import InputError
from sardonyx.core.targets import get_target
from sardonyx.passes.constants import add_constant
from sardonyx.passes.quantization import QuantizeOptions, quantize
from sardonyx.passes.quantization.parameters import activation_parameters

SAMPLES = 4
STATIC = replace(OURS, dynamic_rest=False)
TYPES = (
    QuantizeOptions(),
    QuantizeOptions(activation_type="int8"),
    QuantizeOptions(activation_type="int8", symmetric=True),
)
SETTINGS = (
    Setting(OURS, PER_CHANNEL, frozenset()),
    Setting(replace(OURS, per_channel=False, activation_type="int8", symmetric=True), SYMMETRIC, frozenset()),
)
FINER = 16.0
"""Times smaller an error with sixteen bits is at least than with eight; 256 is what independent errors come to."""
GRIDS = 4
"""Coarse grids whose largest error counts."""
Rounding: TypeAlias = Sequence[tuple[str, Sequence[float]]]


@dataclass(frozen=True)
class Pair:
    """A Q/DQ pair of an activation: names of the values before and behind it, and its grid."""

    before: str
    behind: str
    scale: float
    low: float
    high: float


def pairs(model: ir.Model) -> Iterator[Pair]:
    """Every Q/DQ pair whose input is no constant."""
    for node in model.graph:
        if node.op_type == "QuantizeLinear" and node.inputs[0].const_value is None:
            scale, zero = (float(v.const_value.numpy()) for v in node.inputs[1:])
            bounds = np.iinfo(node.inputs[2].dtype.numpy())
            low, high = ((bound - zero) * scale for bound in (bounds.min, bounds.max))
            for use in node.outputs[0].uses():
                if use.node.op_type == "DequantizeLinear":
                    yield Pair(node.inputs[0].name, use.node.outputs[0].name, scale, low, high)


def unrounded(model: ir.Model, rounds: Callable[[Pair], Rounding] = lambda pair: ()) -> ir.Model:
    """A quantized graph whose activations are clipped to their ranges, and not rounded; its constants are as rounded.

    Args:
        model: The quantized graph.
        rounds: What is done to a clipped activation: operators, and the numbers that each takes.
    """
    copy = model.clone()
    values = {v.name: v for node in copy.graph for v in node.outputs} | {v.name: v for v in copy.graph.inputs}
    for pair in list(pairs(copy)):
        value, behind = values[pair.before], values[pair.behind]
        kind = value.type
        for operator, numbers in (("Clip", (pair.low, pair.high)), *rounds(pair)):
            given = [add_constant(copy.graph, "number", np.float32(x)) for x in numbers]
            node = ir.node(operator, [value, *given])
            value = node.outputs[0]
            value.name, value.type = f"{pair.behind}_{operator}", kind
            copy.graph.insert_before(behind.producer(), node)
        ir.convenience.replace_all_uses_with(behind, value, replace_graph_outputs=True)
    return copy


def on_another_grid(pair: Pair, random: np.random.Generator) -> Rounding:
    """Rounding to the steps of eight bits instead of sixteen, on a grid that begins anywhere.

    Activations often lie on the grid of their own range by chance: at zero, or at its end.
    """
    step = 256 * pair.scale
    start = random.uniform(0, step)
    return (("Sub", (start,)), ("Div", (step,)), ("Round", ()), ("Mul", (step,)), ("Add", (start,)))


def half_a_step(model: ir.Model, seed: int) -> bool:
    """Q/DQ moves what is within its range by half a step at most, the rest to an end; once quantized is enough."""
    options = replace(TYPES[seed % len(TYPES)], error_samples=0, keep_statistics=False)
    outcome = quantize(model, noise(model, SAMPLES), options, target=get_target("openvino"))
    with pytest.raises(InputError, match="quantized already"):
        quantize(outcome.model, noise(model, SAMPLES), options, target=get_target("openvino"))
    found = list(pairs(outcome.model))
    # Other samples than those that the ranges are of, and wider: some lie beyond.
    feed = {name: 1.5 * array for name, array in feed_of(model, seed=seed).items()}
    values = run_taps(outcome.model, feed, {name for pair in found for name in (pair.before, pair.behind)})
    for pair in found:
        before, behind = (values[name].astype(np.float64) for name in (pair.before, pair.behind))
        moved = np.abs(behind - np.clip(before, pair.low, pair.high))
        slack = 2.0**-22 * max(-pair.low, pair.high)
        assert moved.max() <= 0.5 * pair.scale + slack
        assert moved[(before < pair.low) | (before > pair.high)].max(initial=0.0) <= slack
    return bool(found)


def sixteen_bits(model: ir.Model, seed: int) -> bool:
    """With steps 256 times finer than those of eight bits, the outputs are near those without rounding."""
    options = replace(STATIC, activation_type="uint16")
    quantized = quantize(model, noise(model, SAMPLES), options, target=get_target("qnn")).model
    random, feed = np.random.default_rng(seed), feed_of(model)
    exact = outputs_of(unrounded(quantized), feed)
    coarse = [
        differences(exact, outputs_of(unrounded(quantized, lambda pair: on_another_grid(pair, random)), feed))
        for _ in range(GRIDS)
    ]
    fine = differences(exact, outputs_of(quantized, feed))
    assert (fine <= np.maximum(np.max(coarse, axis=0) / FINER, tolerance_of(model))).all()
    return True


def widening(model: ir.Model, seed: int) -> bool:
    """A wider range never clips more: no value is off by more than half a step that was not before."""
    random = np.random.default_rng(seed)
    values = run_taps(model, feed_of(model), set(float_values(model)))
    for array in values.values():
        kind, symmetric = random.choice(["uint8", "int8", "uint16", "int16"]), bool(random.integers(2))
        low, high = np.quantile(array, np.sort(random.random(2)))
        narrow = activation_parameters(low, high, kind, symmetric=symmetric)
        if narrow.constant:
            continue  # an empty range is replaced by [0, 1]
        # Rounding the zero-point shifts both ends by half a step, so that less than a step is not wider.
        more = 1.05 * narrow.scale + random.random(2) * (high - low)
        wide = activation_parameters(low - more[0], high + more[1], kind, symmetric=symmetric)
        assert clipped(array, wide) <= clipped(array, narrow)
    return True


def clipped(array: np.ndarray, grid) -> int:
    """How many elements are off by more than half a step."""
    return int((np.abs(grid.restored(array) - array) > 0.51 * grid.scale).sum())


def quantize_static(model: ir.Model, seed: int) -> bool:
    """From the same ranges onnxruntime.quantization makes the same scales and zero-points, but for stated reasons."""
    fails = bias_of_another_shape(model) or channels_in_groups(model)
    setting = SETTINGS[1 if fails else seed % 2]
    with TemporaryDirectory() as folder, quiet():
        both = compare(Graph("drawn", model, noise(model, SAMPLES)), setting, Path(folder))
    for name in both.ours.keys() & both.theirs.keys():
        are_same = same(both.ours[name], both.theirs[name])
        assert are_same or any(holds(both, name) for holds in DIFFERENCES.values()), name
    for name in both.ours.keys() ^ both.theirs.keys():
        assert any(holds(both, name) for holds in SET_DIFFERENCES.values()), name
    return bool(both.ours.keys() & both.theirs.keys())


def run_taps(model: ir.Model, feed: Values, names: set[str]) -> Values:
    """Any values of a graph, ONNX Runtime's optimisations off."""
    return next(iter(OrtRunner(threads=1).run(model, [feed], sorted(names))))


@contextmanager
def quiet() -> Iterator[None]:
    """Theirs warns of what it does not need here."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


QUANTIZED_RELATIONS: dict[str, Relation] = {
    f.__name__: f for f in (half_a_step, sixteen_bits, widening, quantize_static)
}
