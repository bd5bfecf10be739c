"""What the outputs say of a group: measured on trial, before a last Softmax, on samples held out."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from nets import Net
from sardonyx.calib_data import CalibrationData, OrtRunner
from sardonyx.core.errors import UsageError
from sardonyx.core.targets import get_target
from sardonyx.passes.pruning import PruneOptions, prune
from sardonyx.passes.pruning.holdout import split_off
from sardonyx.passes.pruning.sensitivity import OutputProbe, logit_names

X = np.random.default_rng(0).standard_normal((64, 6)).astype("f4")
DATA = CalibrationData.from_arrays({"x": X})


def two_branches(end: str | None = None) -> ir.Model:
    """Two hidden layers of twelve neurons side by side; the second one's part of the output is a thousandth."""
    n = Net(("N", 6))
    loud, quiet = (
        n.op("MatMul", n.op("Relu", n.op("MatMul", n.x, n.rand(6, 12))), n.rand(12, 3)) for _ in "ab"
    )
    y = n.op("Add", loud, n.op("Mul", quiet, n.const(np.float32(1e-3))))
    return n.model(n.op(end, y) if end else y)


def test_the_group_that_the_output_does_not_hear_is_cut() -> None:
    options = PruneOptions(params=0.8, criterion="output", align=1, steps=2)
    report = prune(two_branches(), DATA, options, target=get_target("cpu-x86")).report
    widths = [group.width_after for group in report.plan]
    assert widths[0] == 12
    assert widths[1] <= 7
    assert report.rounds[-1].output_error < 1e-5
    assert report.proof.largest_difference <= 1e-5


@pytest.mark.parametrize(("end", "depth"), [("Softmax", 1), ("Sigmoid", 1), ("Relu", 0), (None, 0)])
def test_outputs_are_read_before_what_saturates(end: str | None, depth: int) -> None:
    model = two_branches(end)
    last = list(model.graph)[-1]
    assert logit_names(model) == [(last.inputs if depth else last.outputs)[0].name]


def test_the_error_is_a_share_of_the_outputs_variance() -> None:
    model = two_branches()
    probe = OutputProbe(model, DATA, OrtRunner(threads=1))
    assert probe.error(model) == 0.0
    changed = model.clone()
    for name in ("w1", "w3"):
        array = changed.graph.initializers[name].const_value.numpy() * np.float32(1.1)
        changed.graph.initializers[name].const_value = ir.tensor(array, name=name)
    assert probe.error(changed) == pytest.approx(0.01 * (1 + _squared_mean_over_variance(probe)), rel=1e-3)


def _squared_mean_over_variance(probe: OutputProbe) -> float:
    (wanted,) = probe.reference.values()
    return float((wanted.mean(0) ** 2).sum() * len(wanted) / ((wanted - wanted.mean(0)) ** 2).sum())


@pytest.mark.parametrize(("count", "sizes"), [(1, (1, 1)), (8, (6, 2)), (64, (48, 16)), (2000, (1500, 128))])
def test_a_part_is_held_out(count: int, sizes: tuple[int, int]) -> None:
    data = CalibrationData.from_arrays({"x": np.zeros((count, 6), "f4")})
    fitting, held_out = split_off(data, seed=0)
    assert (len(fitting), len(held_out)) == sizes
    assert count == 1 or not set(fitting.indices) & set(held_out.indices)


def noise(count: int) -> CalibrationData:
    return CalibrationData.from_arrays(
        {"x": np.random.default_rng(3).standard_normal((count, 6)).astype("f4")}
    )


@pytest.mark.parametrize(("count", "criterion"), [(8, "output"), (64, "second-order")])
def test_a_cut_that_held_out_samples_do_not_support_is_not_made(count: int, criterion: str) -> None:
    n = Net(("N", 6))
    model = n.model(n.op("MatMul", n.op("Tanh", n.op("MatMul", n.x, n.rand(6, 24))), n.rand(24, 6)))
    options = PruneOptions(params=0.1, criterion=criterion, align=1, max_error=0.05)
    report = prune(model, noise(count), options, target=get_target("cpu-x86")).report
    assert report.stopped is not None
    assert report.budget["left"] > 0.1
    assert all(r.output_error <= 0.05 for r in report.rounds)


def test_few_samples_cut_less_by_themselves() -> None:
    model = two_branches()
    options = PruneOptions(params=0.05, criterion="output", align=1)
    report = prune(model, noise(8), options, target=get_target("cpu-x86")).report
    assert report.stopped is not None
    assert report.rounds[-1].output_error <= 0.25


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan"), float("inf")])
def test_a_bound_that_bounds_nothing_is_refused(bound: float) -> None:
    with pytest.raises(UsageError, match="max_error"):
        PruneOptions(params=0.5, max_error=bound)
