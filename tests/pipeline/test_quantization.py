"""Quantizing a model: types, budgets, and what the runtime really does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import sardonyx as sx
from sardonyx.passes.quantization import NodeEffect
from sardonyx.pipeline import drop_budget
from sardonyx.pipeline.drop_budget import Candidate, Judge, Relief, search_drop
from sardonyx.pipeline.monitor import Silent
from sardonyx.runtime import Accuracy


def test_types_and_reasons_are_said(model: sx.ModelArtifact, data: sx.CalibrationData) -> None:
    quantized = sx.quantize(model, data, target="cpu-x86")
    assert "uint8" in quantized.reasons[0]
    assert quantized.integer_nodes > 0
    assert quantized.report.after.size_bytes < quantized.report.before.size_bytes


@pytest.mark.parametrize(
    ("symmetric", "rule"), [(True, "symmetric"), (False, "asymmetric"), (None, "asymmetric")]
)
def test_the_zero_point_is_as_asked(
    model: sx.ModelArtifact, data: sx.CalibrationData, symmetric: bool | None, rule: str
) -> None:
    report = sx.quantize(model, data, target="cpu-x86", symmetric=symmetric, per_channel=False).report
    assert (report.types.zero_point, report.types.per_channel) == (rule, False)
    assert ({t.zero_point for t in report.tensors} == {128}) == (symmetric is True)


def test_excluded_nodes_stay_float(model: sx.ModelArtifact, data: sx.CalibrationData) -> None:
    quantized = sx.quantize(model, data, exclude=["second"])
    assert "second" not in {change.node for change in quantized.report.applied}


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"block": 32},
        {"weight_only": "int3"},
        {"weight_only": "int4", "max_drop": 0.1},
        {"weight_only": "int4", "method": "minmax"},
        {"weight_only": "int4", "per_channel": False},
        {"target": "abacus"},
        {"precision": "float8"},
        {"precision": "mixed"},
        {"precision": "float16", "method": "mse"},
        {"rounding": "gptq"},
        {"weight_only": "int4", "rounding": "gptq"},
    ],
)
def test_contradictions_are_refused(model: sx.ModelArtifact, request_: dict[str, Any]) -> None:
    with pytest.raises(sx.UsageError):
        sx.quantize(model, None, **request_)


def test_quantizing_twice_is_refused(model: sx.ModelArtifact, data: sx.CalibrationData) -> None:
    once = sx.quantize(model, data)
    with pytest.raises(sx.InputError, match="quantized already") as caught:
        sx.quantize(once.model, data)
    assert "--force" in caught.value.remedy


def test_weights_alone_need_no_samples(model: sx.ModelArtifact) -> None:
    quantized = sx.quantize(model, weight_only="int4", block=16)
    assert [change.node for change in quantized.report.applied] == ["head"]


@pytest.mark.parametrize("precision", ["dynamic", "float16", "mixed"])
def test_other_precisions(model: sx.ModelArtifact, data: sx.CalibrationData, precision: str) -> None:
    made = sx.quantize(model, data, precision=precision)
    assert made.report.applied
    assert made.report.after.size_bytes < made.report.before.size_bytes


def test_each_tool_reports_its_gain(model: sx.ModelArtifact, data: sx.CalibrationData) -> None:
    tools = ("equalize", "mse-weights", "round", "correct-bias")
    report = sx.quantize(model, data, tools=tools).report
    assert [gain.tool for gain in report.tools] == list(tools)
    assert all((gain.after_db > gain.before_db) == gain.kept for gain in report.tools)


def test_the_method_with_the_least_error_is_taken(model: sx.ModelArtifact, data: sx.CalibrationData) -> None:
    report = sx.quantize(model, data, method="auto").report
    assert set(report.methods) == {"minmax", "moving-average", "percentile", "entropy", "mse"}
    assert report.methods[report.method] == max(report.methods.values())
    assert sx.quantize(model, data, method=report.method).report.output_ratio == report.output_ratio


def test_textbook_types_on_request(model: sx.ModelArtifact, data: sx.CalibrationData) -> None:
    types = sx.quantize(model, data, target="cpu-x86", textbook="narrow").report.types
    assert (types.activation, types.zero_point, types.weight_bits) == ("int8", "symmetric", 8)


def test_a_budget_that_holds_restores_nothing(model: sx.ModelArtifact, data: sx.CalibrationData) -> None:
    quantized = sx.quantize(model, data, max_drop=0.5, evaluation=data)
    assert quantized.budget.restored == ()
    assert quantized.budget.before.value == 1.0


@pytest.mark.parametrize(("evaluation", "metric"), [(None, "top1"), ("data", "sqnr")])
def test_a_budget_needs_something_to_judge_with(
    model: sx.ModelArtifact, data: sx.CalibrationData, evaluation: str | None, metric: str
) -> None:
    judged = data if evaluation else None
    with pytest.raises(sx.UsageError):
        sx.quantize(model, data, max_drop=0.5, evaluation=judged, metric=metric)


@dataclass
class Bench:
    """A world in which quantizing each of six nodes costs what ``costs`` says."""

    costs: dict[str, float]
    tried: list[int] = field(default_factory=list)

    def attempt(self, relief: Relief) -> Candidate:
        self.tried.append(len(relief.to_float))
        return Candidate(relief, None)  # type: ignore[arg-type]

    def measure(self, model: Any) -> Accuracy:
        lost = 0.0
        if isinstance(model, Relief):
            left = {node: cost for node, cost in self.costs.items() if node not in model.to_float}
            lost = sum(cost / 10 if node in model.to_wide else cost for node, cost in left.items())
        return Accuracy("top1", 1.0 - lost, None, None, 100, "")

    def search(
        self, monkeypatch: pytest.MonkeyPatch, max_drop: float, *, may_widen: bool = False
    ) -> drop_budget.DropBudget:
        effects = [NodeEffect(node, "Conv", 20.0, cost, 1) for node, cost in self.costs.items()]
        ranking = sorted(effects, key=lambda effect: -effect.noise_ratio)
        monkeypatch.setattr(drop_budget, "evaluate", lambda model, *rest, **options: self.measure(model))
        original: Any = "float"
        data: Any = "samples"
        judge = Judge(original, data, "top1")
        words: dict[str, Any] = {"max_drop": max_drop, "monitor": Silent(), "may_widen": may_widen}
        return search_drop(judge, self.attempt, lambda: ranking, **words)[1]


COSTS = {"a": 0.02, "b": 0.3, "c": 0.01, "d": 0.2, "e": 0.1, "f": 0.0}


@pytest.mark.parametrize(
    ("max_drop", "restored"),
    [(0.7, ""), (0.4, "b"), (0.14, "bd"), (0.03, "bde"), (0.015, "bdea"), (0.0, "bdeac")],
)
def test_as_few_of_the_worst_nodes_as_needed_go_back(
    monkeypatch: pytest.MonkeyPatch, max_drop: float, restored: str
) -> None:
    assert Bench(COSTS).search(monkeypatch, max_drop).restored == tuple(restored)


@pytest.mark.parametrize(
    ("max_drop", "widened", "restored"), [(0.4, "b", ""), (0.1, "bde", ""), (0.02, "eacf", "bd")]
)
def test_nodes_go_to_16_bits_before_they_go_to_float(
    monkeypatch: pytest.MonkeyPatch, max_drop: float, widened: str, restored: str
) -> None:
    budget = Bench(COSTS).search(monkeypatch, max_drop, may_widen=True)
    assert (budget.widened, budget.restored) == (tuple(widened), tuple(restored))


def test_a_budget_that_cannot_be_held_gives_the_best_model(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Bench({"a": 0.3, "b": 0.2}).search(monkeypatch, 0.1)
    assert (budget.held, budget.restored, [t.to_float for t in budget.tries]) == (False, ("a",), [0, 1])
    assert [effect.node for effect in budget.culprits] == ["a", "b"]
