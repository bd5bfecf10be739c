"""Who may teach in a recipe: an earlier network, an earlier graph, a file; with labels and without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sardonyx as sx

MODELS = """
from torch import nn

def student():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4)
    )
"""
STUDENT = {
    "kind": "distill",
    "name": "student",
    "source": "models.py:student",
    "epochs": 2,
    "batch_size": 16,
    "validation_ratio": 0.2,
    "precision": "fp32",
}


def taught(workplace: Path, data: dict[str, str], **step: Any) -> dict[str, Any]:
    (workplace / "models.py").write_text(MODELS, encoding="utf8")
    start = {"model": "model.onnx"} if step["teacher"] == "model" else {}
    recipe = sx.parse_recipe({**start, "data": data, "steps": [{**STUDENT, **step}]})
    sx.run_recipe(recipe, workplace / "out", base=workplace)
    return json.loads((workplace / "out/report.json").read_text())


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("teacher", ["model", "model.onnx"])
def test_a_graph_teaches(workplace: Path, teacher: str) -> None:
    both = {"train": "data.npz", "evaluation": "data.npz"}
    report = taught(workplace, both, teacher=teacher, pairs="auto", feature_weight=1.0)
    figures = report["steps"]["student"]["report"]
    assert figures["teacher_top1_ratio"] == 1.0  # the labels are its own
    assert set(figures["history"][0]["losses"]) == {"total", "labels", "teacher", "features"}
    notes = next(stage for stage in report["stages"] if stage["name"] == "student")["notes"]
    assert "the teacher reaches 100.00%" in notes
    assert any(note.startswith("layers compared: ") for note in notes)


def test_no_labels_are_needed(workplace: Path) -> None:
    image = np.load(workplace / "data.npz", allow_pickle=False)["image"]
    np.savez(workplace / "bare.npz", image=image)
    bare = {"train": "bare.npz", "evaluation": "bare.npz"}
    report = taught(workplace, bare, teacher="model.onnx", teacher_weight=1.0)
    stage = next(stage for stage in report["stages"] if stage["name"] == "student")
    assert stage["accuracy"] is None
    assert any(note.startswith("agreement on the evaluation samples: ") for note in stage["notes"])
    assert {curve["label"] for curve in report["curves"]} == {"loss", "agreement"}


def test_a_hostile_pickle_is_refused_and_not_executed(workplace: Path) -> None:
    (workplace / "evil.pt").write_bytes(b"cos\nsystem\n(S'touch executed'\ntR.")
    both = {"train": "data.npz", "evaluation": "data.npz"}
    with pytest.raises(sx.ModelError, match=r"evil.pt was refused"):
        taught(workplace, both, teacher="models.py:student", teacher_weights="evil.pt")
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("step", "cause"),
    [
        ({"teacher": "model", "pairs": "a:b"}, "nothing that compares them"),
        ({"teacher": "model", "task": "regression", "response": "kl"}, "compares logits"),
        ({"teacher": "model", "task": "detection"}, "task"),
        ({"teacher": "quantized"}, "no earlier step 'quantized'"),
    ],
)
def test_what_makes_no_sense_is_refused(step: dict[str, Any], cause: str) -> None:
    with pytest.raises(sx.RecipeError, match=cause):
        sx.parse_recipe({"model": "model.onnx", "steps": [{**STUDENT, **step}]})
