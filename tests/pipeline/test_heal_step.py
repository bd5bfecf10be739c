"""Healing in a recipe: in float and with rounding, from the model before the cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sardonyx as sx

PRUNE = {"kind": "prune", "ratio": 0.5, "align": 1, "criterion": "random", "compensate": False}
HEAL = {"kind": "heal", "teacher": "model", "epochs": 3, "batch_size": 8, "validation_ratio": 0.2}


def run(workplace: Path, *steps: dict[str, Any], name: str = "out") -> dict[str, Any]:
    roles = {"train": "data.npz", "calibration": "data.npz", "evaluation": "data.npz"}
    recipe = sx.parse_recipe({"model": "model.onnx", "data": roles, "steps": list(steps)})
    sx.run_recipe(recipe, workplace / name, base=workplace)
    found: dict[str, Any] = json.loads((workplace / name / "report.json").read_text())
    return found


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path / "cache"))


def test_a_cut_model_is_healed_and_the_report_has_its_curves(workplace: Path) -> None:
    report = run(workplace, PRUNE, {**HEAL, "learning_rate": 0.01})
    healed = report["steps"]["heal"]["report"]
    assert healed["evaluation_score"] > healed["before_score"]
    assert {curve["label"] for curve in report["curves"]} == {"loss", "top1"}
    stages = {stage["name"]: stage for stage in report["stages"]}
    assert stages["heal"]["params"] == stages["prune"]["params"]
    assert any("before" in note and "healed" in note for note in stages["heal"]["notes"])


def test_healing_with_rounding_ends_in_integers(workplace: Path) -> None:
    report = run(workplace, {**HEAL, "qat": True, "weight_bits": 4})
    assert report["steps"]["heal"]["quantization"]["types"]["weight_bits"] == 4
    model = sx.open_model(workplace / "out" / "model.onnx").load()
    assert "DequantizeLinear" in {node.op_type for node in model.graph}


@pytest.mark.slow
def test_the_same_recipe_gives_the_same_bytes(workplace: Path) -> None:
    for name in ("one", "two"):
        run(workplace, PRUNE, HEAL, name=name)
    first, second = ((workplace / name / "model.onnx").read_bytes() for name in ("one", "two"))
    assert first == second


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ({"teacher": "prune"}, "no earlier step 'prune'"),
        ({"weight_bits": 4}, "need qat"),
        ({"loss": "huber"}, "loss"),
        ({"epochs": 0}, "epochs 0"),
        ({"speed": 1}, "unknown key"),
    ],
)
def test_what_a_step_cannot_ask_for(words: dict[str, Any], cause: str) -> None:
    with pytest.raises(sx.RecipeError, match=cause):
        sx.parse_recipe({"model": "model.onnx", "data": {"train": "d.npz"}, "steps": [{**HEAL, **words}]})
