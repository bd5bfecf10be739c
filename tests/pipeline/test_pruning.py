"""Pruning a model: budgets, proof, and a budget of measured time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import onnx_ir as ir
import pytest
import sardonyx as sx
from sardonyx.core.tensors import Array
from sardonyx.passes.pruning import PruneOptions, PruneReport
from sardonyx.pipeline import latency_budget
from sardonyx.pipeline.latency_budget import Trial, TrialRow, search_latency
from sardonyx.pipeline.monitor import Silent
from sardonyx.pipeline.opening import clean
from sardonyx.pipeline.time_table import time_table


@pytest.mark.parametrize("budget", [{"params": 0.6}, {"macs": 0.6}, {"bytes": 0.7}, {"ratio": 0.25}])
def test_a_budget_is_kept_and_the_cut_proven(
    model: sx.ModelArtifact, data: sx.CalibrationData, budget: dict[str, float]
) -> None:
    pruned = sx.prune(model, data, align=4, **budget)
    assert pruned.report.after.params < pruned.report.before.params
    assert pruned.report.proof.largest_difference <= pruned.report.proof.tolerance
    assert pruned.model.inputs == model.inputs


@pytest.mark.parametrize("budgets", [{}, {"params": 0.5, "ratio": 0.5}])
def test_one_budget_is_needed(model: sx.ModelArtifact, budgets: dict[str, float]) -> None:
    with pytest.raises(sx.UsageError, match="one budget"):
        sx.prune(model, None, **budgets)


def test_a_plan_cuts_nothing(model: sx.ModelArtifact, data: sx.CalibrationData) -> None:
    planned = sx.prune(model, data, params=0.6, align=4, plan_only=True)
    assert planned.report.after.params == planned.report.before.params
    assert any(group.width_after < group.width_before for group in planned.report.plan)


def test_without_samples_the_proof_runs_on_made_up_ones(model: sx.ModelArtifact) -> None:
    pruned = sx.prune(model, criterion="magnitude", compensate=False, params=0.6, align=4)
    assert pruned.report.proof is not None


def test_a_latency_budget_is_measured(
    model: sx.ModelArtifact, data: sx.CalibrationData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path))
    pruned = sx.prune(model, data, latency=0.97, align=4, batch=8)
    assert pruned.latency.result.measured_ratio <= 0.97
    assert pruned.latency.trials


@pytest.mark.parametrize("wanted", [0.0, 1.0, -1.0, math.nan])
def test_a_latency_out_of_range_is_refused(
    model: sx.ModelArtifact, data: sx.CalibrationData, wanted: float
) -> None:
    with pytest.raises(sx.UsageError, match="outside"):
        sx.prune(model, data, latency=wanted)


@dataclass
class Machine:
    """A machine on which a cut that is predicted a share of the time takes ``fixed`` plus ``slope`` times that."""

    fixed: float
    slope: float
    asked: list[float] = field(default_factory=list)

    def time(self, asked: float, trial: Trial, seconds: float) -> TrialRow:
        self.asked.append(asked)
        return TrialRow(asked, None, asked, self.fixed + self.slope * asked, 0.0, 1.0)


def search(
    model: sx.ModelArtifact, machine: Machine, wanted: float, monkeypatch: pytest.MonkeyPatch
) -> latency_budget.LatencyBudget:
    monkeypatch.setattr(latency_budget, "_Clock", lambda *given: machine)
    trial = Trial(model, PruneReport("prune"))
    return search_latency(
        model,
        wanted,
        rehearse=lambda share: trial,
        perform=lambda share: trial,
        batch=1,
        threads=1,
        seed=0,
        data=None,
        monitor=Silent(),
    )[1]


@pytest.mark.parametrize(("fixed", "slope"), [(0.0, 1.0), (0.2, 0.8), (0.0, 0.6), (0.1, 1.5)])
def test_the_search_ends_just_below_what_is_wanted(
    model: sx.ModelArtifact, monkeypatch: pytest.MonkeyPatch, fixed: float, slope: float
) -> None:
    found = search(model, Machine(fixed, slope), 0.6, monkeypatch)
    assert 0.6 * 0.95 <= found.result.measured_ratio <= 0.6
    assert len(found.trials) <= 6


def test_a_machine_that_no_cut_satisfies_is_an_expectation_not_met(
    model: sx.ModelArtifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(0.9, 1.0)
    with pytest.raises(sx.ExpectationError, match="no cut runs"):
        search(model, machine, 0.5, monkeypatch)
    assert min(machine.asked) < 0.05


def test_layer_times_are_kept_for_the_next_time(
    model: sx.ModelArtifact, data: sx.CalibrationData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path))
    options = PruneOptions(time=0.5, align=4)
    words = {"batch": 4, "threads": 1, "seed": 0, "monitor": Silent()}
    cleaned, _ = clean(model)
    target = sx.get_target("cpu-x86")
    first = time_table(cleaned, data.for_model(model.inputs), options, target, **words)
    assert first.nodes
    assert all(times.ms == tuple(sorted(times.ms)) and len(times.ms) > 1 for times in first.nodes.values())
    monkeypatch.setattr("sardonyx.pipeline.time_table.time_nodes", None)
    assert time_table(cleaned, data.for_model(model.inputs), options, target, **words) == first
    (file,) = tmp_path.rglob("*.json")
    file.write_text("[]")
    with pytest.raises(TypeError):  # what is no table is measured anew
        time_table(cleaned, data.for_model(model.inputs), options, target, **words)


def test_a_plan_of_time_says_what_it_promises(
    model: sx.ModelArtifact, data: sx.CalibrationData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path))
    report = sx.prune(model, data, latency=0.9, align=4, plan_only=True).report
    assert report.budget["kind"] == "time"
    assert report.budget["left"] <= 0.9


def test_a_criterion_of_the_user_comes_from_a_file(
    model: sx.ModelArtifact, data: sx.CalibrationData, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text("def worth(neurons):\n    return abs(neurons.means[0])\n")
    pruned = sx.prune(model, data, ratio=0.5, align=1, criterion=f"{tmp_path / 'mine.py'}:worth")
    assert pruned.report.details["criterion"] == "worth"
    assert {g.width_after for g in pruned.report.plan} == {16}
    with pytest.raises(sx.UsageError, match="no function"):
        sx.prune(model, data, ratio=0.5, criterion=f"{tmp_path / 'mine.py'}:nothing")


def test_zeros_survive_quantization(model: sx.ModelArtifact, data: sx.CalibrationData) -> None:
    sparse = sx.prune(model, data, granularity="unstructured", params=0.5).model
    quantized = sx.quantize(sparse, data).model.load()
    assert any(w.dtype.itemsize == 1 for w in matrices(quantized))
    before, after = (
        sum(int((w == 0).sum()) for w in matrices(graph)) for graph in (sparse.load(), quantized)
    )
    assert after >= before > 0.4 * sum(w.size for w in matrices(sparse.load()))


def matrices(graph: ir.Model) -> list[Array]:
    found = [v.const_value.numpy() for v in graph.graph.initializers.values() if v.const_value is not None]
    return [array for array in found if array.ndim > 1]


def test_n_of_m_is_its_own_budget(model: sx.ModelArtifact, data: sx.CalibrationData) -> None:
    report = sx.prune(model, data, granularity="2:4").report
    assert report.details["sparsity"] == pytest.approx(0.5)
    with pytest.raises(sx.UsageError, match="one budget"):
        sx.prune(model, data, granularity="unstructured")
