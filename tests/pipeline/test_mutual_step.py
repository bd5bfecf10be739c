"""Networks that teach each other in a recipe: what they are called, what they leave, and who goes on with them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sardonyx as sx
import torch
from safetensors.torch import load_file
from sardonyx.pipeline.monitor import Silent
from sardonyx.pipeline.run import training_part

MODELS = """
from torch import nn

def small():
    return nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10))

def large():
    return nn.Sequential(nn.Conv2d(1, 12, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(192, 10))
"""
DATA = {"train": "digits:train:400", "evaluation": "digits:test:200"}
QUICK = {
    "epochs": 4,
    "batch_size": 32,
    "optimizer": "adamw",
    "learning_rate": 0.02,
    "validation_ratio": 0.2,
    "precision": "fp32",
}
PEERS = {"kind": "mutual", "name": "peers", "sources": ["models.py:small", "models.py:large"], **QUICK}
EXPORT = {"kind": "export", "of": "peers.2"}
COMPARE = {"kind": "compare", "batches": [1], "rounds": 5}


def recipe(*steps: dict[str, Any]) -> sx.Recipe:
    return sx.parse_recipe({"data": DATA, "steps": list(steps)})


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path / "cache"))
    (tmp_path / "models.py").write_text(MODELS, encoding="utf8")
    return tmp_path


def run(place: Path, wanted: sx.Recipe, out: str = "out", **options: Any) -> dict[str, Any]:
    sx.run_recipe(wanted, place / out, base=place, **options)
    return json.loads((place / out / "report.json").read_text())


def test_each_network_is_a_stage_and_a_file(place) -> None:
    report = run(place, training_part(recipe(PEERS, EXPORT)))
    (first, second), figures = report["stages"], report["steps"]["peers"]["report"]
    assert [first["name"], second["name"]] == ["peers.1", "peers.2"]
    assert [first["params"], second["params"]] == [690, 2050]
    for stage, one in zip((first, second), figures["networks"], strict=True):
        assert stage["accuracy"]["value"] == one["evaluation_top1_ratio"] > 0.6
        assert "learned in the same steps as the others of: peers.1, peers.2" in stage["notes"]
    assert (first["seconds"] > 0, second["seconds"]) == (True, None)
    curves = {(curve["stage"], curve["label"]): curve["values"] for curve in report["curves"]}
    assert set(curves) == {("peers.1", "loss"), ("peers.2", "loss"), ("peers", "mean top1")}
    both = [row["losses"]["total"] for row in figures["together"]["history"]]
    assert [sum(pair) for pair in zip(curves["peers.1", "loss"], curves["peers.2", "loss"], strict=True)] == [
        pytest.approx(total) for total in both
    ]
    manifest = json.loads((place / "out/manifest.json").read_text())
    files = manifest["steps"][0]["files"]
    assert manifest["weights"] == {f"peers.{n}": files[f"weights.{n}.safetensors"] for n in (1, 2)}


def test_a_member_is_exported_and_teaches(place) -> None:
    student = {"kind": "distill", "source": "models.py:small", "teacher": "peers.2", **QUICK}
    report = run(place, recipe(PEERS, EXPORT, student, COMPARE))
    stages = {stage["name"]: stage for stage in report["stages"]}
    assert list(stages) == ["peers.1", "peers.2", "export", "distill"]
    reached = stages["peers.2"]["accuracy"]["value"]
    assert stages["export"]["accuracy"]["value"] == reached != stages["peers.1"]["accuracy"]["value"]
    assert report["steps"]["distill"]["report"]["teacher_top1_ratio"] == reached


def test_what_comes_after_mutual_teaching_may_be_the_latest_again(place) -> None:
    report = run(
        place, recipe(PEERS, {"kind": "train", "source": "models.py:small", **QUICK}, {"kind": "export"})
    )
    stages = {stage["name"]: stage for stage in report["stages"]}
    assert stages["export"]["accuracy"]["value"] == stages["train"]["accuracy"]["value"]


def test_networks_of_one_factory_begin_differently(place) -> None:
    run(place, recipe({**PEERS, "sources": ["models.py:small"] * 2, "epochs": 1, "learning_rate": 0.0}))
    weights = [load_file(place / f"out/steps/01-peers/weights.{n}.safetensors") for n in (1, 2)]
    assert not torch.equal(weights[0]["0.weight"], weights[1]["0.weight"])


class Killer(Silent):
    """Interrupts a training at one of its steps."""

    @contextmanager
    def progress(self, label: str):
        def told(done: int, total: int) -> None:
            if done == total // 2 + 2:
                raise KeyboardInterrupt

        yield told


def test_a_killed_run_ends_with_the_same_weights(place) -> None:
    run(place, recipe(PEERS), "whole")
    with pytest.raises(KeyboardInterrupt):
        run(place, recipe(PEERS), "parts", monitor=Killer())
    report = run(place, recipe(PEERS), "parts", resume=True)
    assert report["steps"]["peers"]["report"]["together"]["resumed_epochs"] == 2
    for number in (1, 2):
        whole, parts = (
            place / out / f"steps/01-peers/weights.{number}.safetensors" for out in ("whole", "parts")
        )
        assert whole.read_bytes() == parts.read_bytes()
    assert not (place / "parts/work").exists()


@pytest.mark.parametrize(
    ("steps", "cause"),
    [
        ([{**EXPORT, "of": "peers"}], r"steps\.1\.of: step 'peers' makes several networks"),
        ([{"kind": "export"}], r"steps\.1\.of: step 'peers' makes several networks"),
        ([{**EXPORT, "of": "peers.3"}], "no earlier step 'peers.3'"),
        ([{"kind": "train", "name": "peers.1", "source": "models.py:small"}], "'peers.1' is taken"),
        ([{"kind": "distill", "source": "models.py:small", "teacher": "peers"}], "several networks"),
        ([{"kind": "compare", "of": ["peers.1"]}], "no earlier step 'peers.1' makes what compare takes"),
    ],
)
def test_what_names_no_network_is_refused(steps: list[dict[str, Any]], cause: str) -> None:
    with pytest.raises(sx.RecipeError, match=cause) as caught:
        recipe(PEERS, *steps)
    if "several" in cause:
        assert caught.value.remedy == "name one of: peers.1, peers.2"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"sources": ["models.py:small"]}, "sources"),
        ({"temperature": 0.0}, "temperature"),
        ({"peer_weight": -1.0}, "peer_weight"),
        ({"teacher": "peers.1"}, "teacher: unknown key"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], place: str) -> None:
    with pytest.raises(sx.RecipeError, match=place):
        recipe({**PEERS, **change})


def test_a_training_that_needs_another_step_is_not_done_alone() -> None:
    teacher = {"kind": "export", "source": "models.py:large"}
    student = {"kind": "distill", "source": "models.py:small", "teacher": "export"}
    with pytest.raises(sx.RecipeError, match="no earlier step 'export'") as caught:
        training_part(recipe(teacher, student))
    assert "sardonyx run" in caught.value.remedy
