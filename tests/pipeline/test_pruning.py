"""Pruning a model: budgets, proof, and a budget of measured time."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import sardonyx as sx
from sardonyx.core.reports import PassReport
from sardonyx.pipeline import latency_budget
from sardonyx.pipeline.latency_budget import Trial, TrialRow, search_latency
from sardonyx.pipeline.monitor import Silent


@pytest.mark.parametrize("budget", [{"params": 0.6}, {"macs": 0.6}, {"ratio": 0.25}])
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


def test_a_latency_budget_is_measured(model: sx.ModelArtifact, data: sx.CalibrationData) -> None:
    pruned = sx.prune(model, data, latency=0.97, align=4, batch=8)
    assert pruned.latency.result.measured_ratio <= 0.97
    assert pruned.latency.trials


@pytest.mark.parametrize("wanted", [0.0, 1.0, -1.0, math.nan])
def test_a_latency_out_of_range_is_refused(
    model: sx.ModelArtifact, data: sx.CalibrationData, wanted: float
) -> None:
    with pytest.raises(sx.UsageError, match="outside"):
        sx.prune(model, data, latency=wanted)


def fake_clock(monkeypatch: pytest.MonkeyPatch, time_of: float) -> None:
    """A machine on which a share of the parameters takes ``time_of`` plus that share of the time."""

    def time(self: object, share: float, trial: Trial, seconds: float) -> TrialRow:
        return TrialRow(share, share, time_of + share, 0.0, 1.0)

    monkeypatch.setattr(latency_budget._Clock, "time", time)


def search(model: sx.ModelArtifact, wanted: float) -> latency_budget.LatencyBudget:
    def cut(share: float) -> Trial:
        return Trial(model, PassReport("prune"))  # type: ignore[arg-type]

    return search_latency(
        model,
        wanted,
        rehearse=cut,
        perform=cut,
        batch=1,
        threads=1,
        seed=0,
        data=None,
        monitor=Silent(),
    )[1]


def test_the_search_finds_the_largest_share(model: sx.ModelArtifact, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_clock(monkeypatch, 0.2)
    assert search(model, 0.7).result.params_ratio == pytest.approx(0.5, abs=0.02)


def test_a_machine_that_no_cut_satisfies_is_an_expectation_not_met(
    model: sx.ModelArtifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_clock(monkeypatch, 0.9)
    with pytest.raises(sx.ExpectationError, match="no cut runs"):
        search(model, 0.5)


def test_a_criterion_of_the_user_comes_from_a_file(
    model: sx.ModelArtifact, data: sx.CalibrationData, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text("def worth(neurons):\n    return abs(neurons.means[0])\n")
    pruned = sx.prune(model, data, ratio=0.5, align=1, criterion=f"{tmp_path / 'mine.py'}:worth")
    assert pruned.report.details["criterion"] == "worth"
    assert {g.width_after for g in pruned.report.plan} == {16}
    with pytest.raises(sx.UsageError, match="no function"):
        sx.prune(model, data, ratio=0.5, criterion=f"{tmp_path / 'mine.py'}:nothing")
