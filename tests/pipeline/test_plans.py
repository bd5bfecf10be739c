"""Plans of pruning as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import sardonyx as sx
from sardonyx.pipeline import parse_plan, read_plan, write_plan


@pytest.fixture
def pruned(model: sx.ModelArtifact, data: sx.CalibrationData) -> Any:
    return sx.prune(model, data, params=0.6, align=4, steps=3)


def test_a_plan_that_was_kept_cuts_the_same_neurons(
    model: sx.ModelArtifact, data: sx.CalibrationData, pruned: Any, tmp_path: Path
) -> None:
    write_plan(pruned.report.cuts, tmp_path / "plan.json")
    plan = read_plan(tmp_path / "plan.json")
    again = sx.prune(model, data, plan=plan)
    assert plan == pruned.report.cuts == again.report.cuts
    assert again.report.after.params == pruned.report.after.params
    assert again.report.proof.largest_difference <= 1e-5


def test_a_plan_made_of_one_model_fits_another_of_its_shape(
    model: sx.ModelArtifact, data: sx.CalibrationData, pruned: Any
) -> None:
    retrained = model.load()
    for value in retrained.graph.initializers.values():
        array = np.random.default_rng(1).permutation(value.const_value.numpy())
        value.const_value = ir.tensor(array, name=value.name)
    cut = sx.prune(sx.ModelArtifact.of(retrained), data, plan=pruned.report.cuts)
    assert cut.report.after.params == pruned.report.after.params


def test_a_plan_is_made_without_a_cut(model: sx.ModelArtifact, data: sx.CalibrationData) -> None:
    planned = sx.prune(model, data, params=0.6, align=4, plan_only=True).report
    cut = sx.prune(model, data, plan=planned.cuts).report
    assert [(g.name, g.width_after) for g in cut.plan] == [(g.name, g.width_after) for g in planned.plan]


CUT = {"name": "a", "width": 4, "cut": [0, 2], "members": ["a 0"]}


@pytest.mark.parametrize(
    ("document", "cause"),
    [
        ([], "no plan"),
        ({"schema": "sardonyx.plan/0", "cuts": []}, "no plan"),
        ({"schema": "sardonyx.plan/1"}, "cuts"),
        ({"schema": "sardonyx.plan/1", "cuts": [{**CUT, "width": "4"}]}, "cuts.0.width"),
        ({"schema": "sardonyx.plan/1", "cuts": [{**CUT, "cut": [2, 0]}]}, "positions must rise"),
        ({"schema": "sardonyx.plan/1", "cuts": [{**CUT, "cut": [0, 4]}]}, "positions must rise"),
        ({"schema": "sardonyx.plan/1", "cuts": [{**CUT, "cut": [0, 1, 2, 3]}]}, "leave one"),
    ],
)
def test_what_is_no_plan_is_refused_with_its_place(document: Any, cause: str) -> None:
    with pytest.raises(sx.UsageError, match=cause):
        parse_plan(document)


@pytest.mark.parametrize("content", [None, b"{", b"[" * 100_000, b"\xff"])
def test_a_file_that_holds_no_plan_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(sx.UsageError, match=r"plan\.json"):
        read_plan(path)


@pytest.mark.parametrize("change", [{"width": 999}, {"members": ["x 0"]}, {"name": "nothing"}])
def test_a_plan_of_another_shape_is_refused(
    model: sx.ModelArtifact, data: sx.CalibrationData, pruned: Any, change: dict[str, Any]
) -> None:
    first = {**json.loads(json.dumps(pruned.report.cuts.cuts[0].__dict__)), **change}
    plan = parse_plan({"schema": "sardonyx.plan/1", "cuts": [first]})
    with pytest.raises(sx.UsageError, match="plan"):
        sx.prune(model, data, plan=plan)
