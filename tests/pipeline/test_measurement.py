"""Names of models in a comparison, and what is promised of the last."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import sardonyx as sx
from sardonyx.pipeline.measurement import check_expectations, check_promises, name_models


def report(lost: float = 0.0, speeds: tuple[float, ...] = (), higher_is_better: bool = True) -> Any:
    def row(name: str, value: float, ratios: tuple[float, ...]) -> SimpleNamespace:
        latency = [SimpleNamespace(batch=i + 1, speed_ratio=ratio) for i, ratio in enumerate(ratios)]
        accuracy = SimpleNamespace(value=value, higher_is_better=higher_is_better)
        return SimpleNamespace(model=name, accuracy=accuracy, latency=latency)

    sign = 1 if higher_is_better else -1
    return SimpleNamespace(metric="top1", rows=[row("a", 0.9, ()), row("b", 0.9 - sign * lost, speeds)])


@pytest.mark.parametrize(
    "promise",
    [
        (0.005, (), True, {"max_drop": 0.01}),
        (0.0, (2.0, 3.0), True, {"min_speedup": 2.0}),
        (0.5, (0.1,), True, {}),
    ],
)
def test_promises_that_hold_say_nothing(
    promise: tuple[float, tuple[float, ...], bool, dict[str, float]],
) -> None:
    lost, speeds, higher, asked = promise
    check_expectations(report(lost, speeds, higher), **asked)


@pytest.mark.parametrize(
    ("lost", "speeds", "higher", "asked"),
    [
        (0.02, (), True, {"max_drop": 0.01}),
        (0.02, (), False, {"max_drop": 0.01}),
        (0.0, (3.0, 1.9), True, {"min_speedup": 2.0}),
    ],
)
def test_promises_that_fail_are_exit_1(
    lost: float, speeds: tuple[float, ...], higher: bool, asked: dict[str, float]
) -> None:
    with pytest.raises(sx.ExpectationError) as caught:
        check_expectations(report(lost, speeds, higher), **asked)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("metric", "asked"),
    [
        ("top1", {"max_drop": 0.01}),
        ("rmse", {"max_drop": 12.0}),
        ("metric.py:points", {"max_drop": 30.0}),
        ("sqnr", {"min_speedup": 0.0}),
    ],
)
def test_promises_in_the_unit_of_the_metric_can_be_judged(metric: str, asked: dict[str, float]) -> None:
    check_promises(metric, **asked)


@pytest.mark.parametrize(
    ("metric", "asked", "match"),
    [
        ("top1", {"max_drop": 5.0}, "cannot lose 5"),
        ("f1", {"max_drop": float("nan")}, "--max-drop nan"),
        ("mae", {"max_drop": -0.1}, "--max-drop -0.1"),
        ("mae", {"min_speedup": float("inf")}, "--min-speedup inf"),
        ("sqnr", {"max_drop": 1.0}, "no drop"),
        ("bleu", {}, "unknown metric"),
    ],
)
def test_promises_that_cannot_be_judged_are_refused(metric: str, asked: dict[str, float], match: str) -> None:
    with pytest.raises(sx.UsageError, match=match):
        check_promises(metric, **asked)


def test_models_of_one_name_are_numbered(model: sx.ModelArtifact) -> None:
    assert list(name_models([model, model])) == ["small", "small (2)"]


def test_nothing_cannot_be_measured(data: sx.CalibrationData) -> None:
    with pytest.raises(sx.UsageError, match="no model"):
        sx.compare([], data)


def test_a_comparison_measures_side_by_side(model: sx.ModelArtifact, data: sx.CalibrationData) -> None:
    found = sx.compare([model, model], data, batches=(2,), rounds=5, seconds=2.0)
    assert [row.accuracy.value for row in found.rows] == [1.0, 1.0]
    assert found.rows[1].agreement.value == 1.0


def test_a_comparison_shows_drift_and_changed_answers(
    model: sx.ModelArtifact, data: sx.CalibrationData
) -> None:
    found = sx.compare([model, model], data, latency=False, drift=True, changed=4)
    assert (found.drift[0].first_diverged, found.changed[0].changed) == (None, 0)
    assert found.rows[1].drop_test.verdict == "no difference"


def test_a_bench_needs_no_samples(model: sx.ModelArtifact) -> None:
    (found,) = sx.bench(model, batches=(1,), rounds=5, seconds=2.0)
    assert found.rows[0].verdict == "baseline"


def test_a_provider_that_is_not_here_is_refused(model: sx.ModelArtifact) -> None:
    with pytest.raises(sx.ProviderError):
        sx.bench(model, providers=["qnn"])
