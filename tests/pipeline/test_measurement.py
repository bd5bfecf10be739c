"""Names of models in a comparison, and what is promised of the last."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import sardonyx as sx
from sardonyx.pipeline.measurement import check_expectations, name_models


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


def test_models_of_one_name_are_numbered(model: sx.ModelArtifact) -> None:
    assert list(name_models([model, model])) == ["small", "small (2)"]


def test_nothing_cannot_be_measured(data: sx.CalibrationData) -> None:
    with pytest.raises(sx.UsageError, match="no model"):
        sx.compare([], data)


def test_a_comparison_measures_side_by_side(model: sx.ModelArtifact, data: sx.CalibrationData) -> None:
    found = sx.compare([model, model], data, batches=(2,), rounds=5, seconds=2.0)
    assert [row.accuracy.value for row in found.rows] == [1.0, 1.0]
    assert found.rows[1].agreement.value == 1.0


def test_a_bench_needs_no_samples(model: sx.ModelArtifact) -> None:
    (found,) = sx.bench(model, batches=(1,), rounds=5, seconds=2.0)
    assert found.rows[0].verdict == "baseline"


def test_a_provider_that_is_not_here_is_refused(model: sx.ModelArtifact) -> None:
    with pytest.raises(sx.ProviderError):
        sx.bench(model, providers=["qnn"])
