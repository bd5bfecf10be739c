"""Batch statistics estimated anew: the moments that a cut has moved are moved back."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from nets import Net
from sardonyx.calib_data import CalibrationData, OrtRunner
from sardonyx.core.targets import get_target
from sardonyx.passes.pruning import PruneOptions, prune
from sardonyx.passes.pruning.correction import correct_outputs
from sardonyx.passes.pruning.holdout import split_off
from sardonyx.passes.pruning.normalization import reestimate

RUNNER = OrtRunner(threads=1)
DATA = CalibrationData.from_arrays(
    {"x": np.random.default_rng(0).standard_normal((96, 3, 8, 8)).astype("f4")}
)


def network() -> ir.Model:
    """A BatchNormalization behind a Relu, where nothing can fold it."""
    n = Net()
    a = n.relu(n.conv(n.x, 12))
    vectors = [n.floats(v) for v in (np.ones(12), np.zeros(12), np.full(12, 0.4), np.full(12, 0.3))]
    b = n.op("BatchNormalization", a, *vectors)
    n.widths[b.name] = 12
    return n.model(n.head(n.relu(n.conv(b, 8))))


def scaled(model: ir.Model, factor: float) -> ir.Model:
    """The first layer's outputs, and so the statistics of what is normalised, changed."""
    copy = model.clone()
    for name in ("w0", "w1"):
        value = copy.graph.initializers[name]
        value.const_value = ir.tensor(value.const_value.numpy() * np.float32(factor), name=name)
    return copy


def node_of(model: ir.Model) -> ir.Node:
    return next(n for n in model.graph if n.op_type == "BatchNormalization")


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_statistics_follow_their_input(factor: float) -> None:
    original = network()
    model = scaled(original, factor)
    before, after = reestimate(node_of(model), model, original, {}, split_off(DATA, 0), RUNNER)
    assert before > 0.1
    assert after < 1e-6


def test_what_is_right_stays() -> None:
    original = network()
    model = original.clone()
    assert reestimate(node_of(model), model, original, {}, split_off(DATA, 0), RUNNER) is None
    assert reestimate(next(iter(model.graph)), model, original, {}, split_off(DATA, 0), RUNNER) is None


def test_a_cut_network_has_them_estimated_in_its_turn() -> None:
    original = network()
    model = scaled(original, 0.5)
    gains = {g.node: g for g in correct_outputs(model, original, {}, DATA, RUNNER)}
    assert gains
    assert all(g.error_after < g.error_before for g in gains.values())
    report = prune(
        original, DATA, PruneOptions(ratio=0.5, align=1, steps=1), target=get_target("cpu-x86")
    ).report
    assert report.corrections
