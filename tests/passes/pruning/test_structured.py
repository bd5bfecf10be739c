"""Structural pruning end to end on small graphs."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx.calib_data import CalibrationData
from sardonyx.core.errors import DataError, ExpectationError, ModelError, UsageError
from sardonyx.core.targets import get_target
from sardonyx.passes.pruning import CRITERIA, PruneOptions, prune

TARGET = get_target("cpu-x86")


@pytest.fixture
def model(net):
    n = net()
    a = n.relu(n.conv(n.x, 16))
    return n.model(n.head(n.relu(n.add(a, n.conv(n.relu(n.conv(a, 24)), 16)))))


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("scope", ["global", "local", "isomorphic"])
def test_the_budget_holds_and_every_round_is_proven(model, samples, criterion, scope):
    options = PruneOptions(params=0.5, criterion=criterion, scope=scope, align=1, steps=2)
    outcome = prune(model, samples(3, 8, 8), options, target=TARGET)
    assert outcome.report.after.params <= 0.5 * outcome.report.before.params
    assert outcome.report.proof.largest_difference <= 1e-5
    assert outcome.model.graph.outputs[0].shape[1] == 5


def test_the_input_model_is_left_alone(model, samples):
    before = model.graph.initializers["w0"].const_value.shape.numpy()
    prune(model, samples(3, 8, 8), PruneOptions(ratio=0.5, align=1, steps=1), target=TARGET)
    assert model.graph.initializers["w0"].const_value.shape.numpy() == before


def test_macs_budget_counts_macs(model, samples):
    report = prune(model, samples(3, 8, 8), PruneOptions(macs=0.4, align=1, steps=2), target=TARGET).report
    assert report.after.macs <= 0.4 * report.before.macs


def test_ratio_cuts_that_share_of_every_group(model, samples):
    plan = prune(
        model, samples(3, 8, 8), PruneOptions(ratio=0.5, align=1, steps=3), target=TARGET
    ).report.plan
    assert {(g.width_before, g.width_after) for g in plan} == {(16, 8), (24, 12)}


def test_widths_keep_the_alignment(model, samples):
    plan = prune(
        model, samples(3, 8, 8), PruneOptions(params=0.5, align=8, steps=2), target=TARGET
    ).report.plan
    assert all(g.width_after % 8 == 0 for g in plan)


def test_duplicated_channels_are_merged_without_a_trace(net, samples, outputs):
    n = net()
    a = n.conv(n.x, 16)
    model = n.model(n.head(n.relu(n.conv(n.relu(a), 8))))
    for name in ("w0", "w1"):
        array = np.array(model.graph.initializers[name].const_value.numpy())
        array[8:] = array[:8]
        model.graph.initializers[name].const_value = ir.tensor(array, name=name)
    data = samples(3, 8, 8)
    options = PruneOptions(ratio=0.5, align=1, steps=1, exclude=("w2",))
    pruned = prune(model, data, options, target=TARGET).model
    assert pruned.graph.initializers["w0"].const_value.shape.numpy()[0] == 8
    expected, got = outputs(model, data)[0], outputs(pruned, data)[0]
    assert np.abs(expected - got).max() <= 1e-5 * np.abs(expected).max()


def test_compensation_beats_a_plain_cut(model, samples, outputs):
    data, fresh = samples(3, 8, 8), samples(3, 8, 8, seed=2)
    errors = []
    for compensate in (True, False):
        options = PruneOptions(ratio=0.25, align=1, steps=1, compensate=compensate)
        pruned = prune(model, data, options, target=TARGET).model
        errors.append(float(((outputs(pruned, fresh)[0] - outputs(model, fresh)[0]) ** 2).mean()))
    assert errors[0] < 0.8 * errors[1]


def test_excluded_groups_stay_and_say_so(model, samples):
    options = PruneOptions(ratio=0.5, align=1, steps=1, exclude=("w2",))
    report = prune(model, samples(3, 8, 8), options, target=TARGET).report
    assert {g.width_before for g in report.plan} == {16}
    assert any(skip.code == "excluded" for skip in report.skipped)


def test_a_plan_cuts_nothing(model, samples):
    outcome = prune(model, samples(3, 8, 8), PruneOptions(params=0.5, align=1), target=TARGET, plan_only=True)
    assert outcome.report.after.params == outcome.report.before.params
    assert any(g.width_after < g.width_before for g in outcome.report.plan)


def test_same_seed_same_bytes(model, samples):
    options = PruneOptions(params=0.5, align=1, steps=2)
    models = [prune(model, samples(3, 8, 8), options, target=TARGET).model for _ in range(2)]
    first, second = (ir.to_proto(m).SerializeToString(deterministic=True) for m in models)
    assert first == second


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        ({}, "one budget"),
        ({"params": 0.5, "macs": 0.5}, "one budget"),
        ({"params": 1.5}, "outside"),
        ({"ratio": 1.0}, "outside"),
        ({"params": float("nan")}, "outside"),
        ({"params": 0.5, "criterion": "luck"}, "criterion"),
        ({"params": 0.5, "granularity": "4:2"}, "granularity"),
        ({"params": 0.5, "steps": 0}, "from 1"),
    ],
)
def test_impossible_options_are_refused(budget, text):
    with pytest.raises(UsageError, match=text):
        PruneOptions(**budget)


def test_criteria_that_need_samples_ask_for_them(model):
    with pytest.raises(UsageError, match="need samples"):
        prune(model, None, PruneOptions(params=0.5), target=TARGET)
    options = PruneOptions(params=0.5, criterion="magnitude", compensate=False, align=1, steps=1)
    assert prune(model, None, options, target=TARGET).report.proof is None


def test_non_finite_weights_and_samples_are_refused(model, samples):
    bad = samples(3, 8, 8)
    bad.source.arrays["x"][5] = np.nan
    with pytest.raises(DataError, match="NaN or inf"):
        prune(model, bad, PruneOptions(params=0.5), target=TARGET)
    array = np.array(model.graph.initializers["w0"].const_value.numpy())
    array[0] = np.inf
    model.graph.initializers["w0"].const_value = ir.tensor(array, name="w0")
    with pytest.raises(ModelError, match="w0 holds NaN"):
        prune(model, samples(3, 8, 8), PruneOptions(params=0.5), target=TARGET)


def test_a_graph_in_which_nothing_may_go_is_refused_with_reasons(net):
    n = net(("N", 8))
    model = n.model(n.op("MatMul", n.x, n.rand(8, 5)))
    data = CalibrationData.from_arrays({"x": np.ones((4, 8), "f4")})
    with pytest.raises(ExpectationError, match="graph"):
        prune(model, data, PruneOptions(params=0.5), target=TARGET)
