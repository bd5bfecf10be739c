"""Quantizing what is faster for it: the fastest way that is faster than float, or float with the measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import sardonyx as sx
from sardonyx.pipeline import speed_choice
from sardonyx.runtime import LatencyOptions, LatencyReport, measure_latency


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[float, str]]:
    """A machine on which each way to quantize has a given speed, and the last layer is slower on integers."""
    speeds: dict[str, tuple[float, str]] = {}

    def measure(models: Mapping[str, sx.ModelArtifact], data: Any, options: LatencyOptions) -> LatencyReport:
        report = measure_latency(models, data, replace(options, rounds=5, seconds=0.1))
        rows = [
            replace(row, speed_ratio=ratio, verdict=verdict)  # type: ignore[arg-type]
            for row in report.rows
            for ratio, verdict in [speeds.get(row.model, (2.0, "no difference"))]
        ]
        return replace(report, rows=tuple(rows))

    def nodes(
        models: Mapping[str, sx.ModelArtifact], *given: Any, **words: Any
    ) -> dict[str, dict[str, float]]:
        return {
            "float": {"first": 2.0, "second": 2.0, "head": 1.0},
            "integer": {"first": 1.0, "second": 1.0, "head": 1.5},
        }

    monkeypatch.setattr(speed_choice, "measure_latency", measure)
    monkeypatch.setattr(speed_choice, "time_nodes", nodes)
    return speeds


def test_the_fastest_way_is_taken(
    model: sx.ModelArtifact, data: sx.CalibrationData, clock: dict[str, tuple[float, str]]
) -> None:
    clock |= {"nothing": (1.1, "faster"), "all but layers": (1.5, "faster")}
    found = sx.quantize(model, data, measure=True)
    assert found.speed.taken == "all but layers"
    assert {change.node for change in found.report.applied} == {"second"}
    assert {choice.name for choice in found.speed.choices} >= {"nothing", "all but layers"}


def test_where_nothing_is_faster_the_float_model_stays_and_says_why(
    model: sx.ModelArtifact, data: sx.CalibrationData, clock: dict[str, tuple[float, str]]
) -> None:
    clock |= dict.fromkeys(("nothing", "layers that are slower", "all but layers"), (0.7, "slower"))
    clock["all but layers that are faster"] = (0.9, "no difference")
    found = sx.quantize(model, data, measure=True)
    assert found.speed.taken == "float"
    assert found.report.applied == []
    assert {s.code for s in found.report.skipped if s.node == "second"} == {"not-faster"}
    assert all(w.const_value.dtype.is_floating_point() for w in weights(found.model))


def weights(model: sx.ModelArtifact) -> list[Any]:
    values = model.load().graph.initializers.values()
    return [v for v in values if v.const_value is not None and len(v.const_value.shape) > 1]


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ({"max_drop": 0.1}, "different things"),
        ({"target": "qnn"}, "cannot be timed"),
        ({"weight_only": "int8"}, "does not take --measure"),
    ],
)
def test_what_contradicts_itself_is_refused(
    model: sx.ModelArtifact, data: sx.CalibrationData, words: dict[str, Any], cause: str
) -> None:
    with pytest.raises(sx.UsageError, match=cause):
        sx.quantize(model, data, measure=True, **words)


def test_a_word_that_is_not_known_is_an_error(model: sx.ModelArtifact, data: sx.CalibrationData) -> None:
    with pytest.raises(TypeError, match="colour"):
        sx.quantize(model, data, colour="red")  # type: ignore[call-arg]


def test_another_batch_than_the_models_own_is_refused(
    model: sx.ModelArtifact, data: sx.CalibrationData
) -> None:
    graph = model.load()
    for value in (*graph.graph.inputs, *graph.graph.outputs):
        value.shape = value.shape.copy()
        value.shape[0] = 1
    with pytest.raises(sx.UsageError, match="a batch of 1 only, not 32"):
        sx.quantize(sx.ModelArtifact.of(graph), data, measure=True, batch=32)
