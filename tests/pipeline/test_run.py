"""Running a recipe: outputs, resuming, refusing, and death at every moment."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sardonyx as sx
from sardonyx.pipeline.monitor import Silent
from sardonyx.pipeline.run import training_part


class Listener(Silent):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def note(self, text: str) -> None:
        self.heard.append(text)


def run(workplace: Path, out: str = "out", **options: Any) -> tuple[sx.RunResult, list[str]]:
    listener = Listener()
    recipe = sx.read_recipe(workplace / "recipe.toml")
    return sx.run_recipe(recipe, workplace / out, base=workplace, monitor=listener, **options), listener.heard


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_run_leaves_models_report_and_manifest(workplace: Path) -> None:
    result, _ = run(workplace)
    manifest = json.loads((workplace / "out/manifest.json").read_text())
    assert sha256(workplace / "out/model.onnx") == manifest["model"]["sha256"] == result.models["quantize"]
    assert sorted(p.name for p in (workplace / "out").iterdir()) == [
        "manifest.json",
        "model.onnx",
        "recipe.json",
        "report.html",
        "report.json",
        "steps",
    ]
    for step in manifest["steps"]:
        for name, digest in step["files"].items():
            assert sha256(workplace / "out" / step["folder"] / name) == digest


def test_the_report_says_what_each_stage_gave(workplace: Path) -> None:
    run(workplace)
    report = json.loads((workplace / "out/report.json").read_text())
    assert [stage["name"] for stage in report["stages"]] == ["model", "prune", "quantize"]
    for stage in report["stages"]:
        assert min(stage["params"], stage["size_bytes"]) > 0
        assert stage["macs"] is not None
        assert stage["accuracy"]["low"] <= stage["accuracy"]["value"] <= stage["accuracy"]["high"]
        assert [row["batch"] for row in stage["latency"]] == [1, 4]
    cut = {layer["name"]: (layer["width_before"], layer["width_after"]) for layer in report["layers"]}
    assert cut["first"][0] == 32 > cut["first"][1] or cut["second"][0] == 32 > cut["second"][1]
    assert {layer["name"]: layer["bits"] for layer in report["layers"]}["second"] in {7, 8, 32}
    assert "<script>alert" not in (workplace / "out/report.html").read_text()


def test_an_earlier_run_is_not_overwritten(workplace: Path) -> None:
    run(workplace)
    before = sha256(workplace / "out/model.onnx")
    with pytest.raises(sx.UsageError, match="earlier run"):
        run(workplace)
    assert sha256(workplace / "out/model.onnx") == before


def test_resume_reuses_what_is_finished_and_says_so(workplace: Path) -> None:
    first, _ = run(workplace)
    second, heard = run(workplace, resume=True)
    assert second.models == first.models
    assert [record.reused for record in second.records] == [True, True, True]
    assert all("finished before, reused" in line for line in heard)


def test_resume_does_again_what_has_changed_and_what_follows(workplace: Path) -> None:
    first, _ = run(workplace)
    path = workplace / "recipe.toml"
    path.write_text(path.read_text().replace('kind = "quantize"', 'kind = "quantize"\nmethod = "percentile"'))
    second, heard = run(workplace, resume=True)
    assert [record.reused for record in second.records] == [True, False, False]
    assert "the recipe, an input or a library has changed" in heard[1]
    assert second.models["prune"] == first.models["prune"]


def test_other_samples_are_another_run(workplace: Path) -> None:
    import numpy as np

    run(workplace)
    with np.load(workplace / "data.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(workplace / "data.npz", **{**arrays, "image": arrays["image"] * 2})
    second, _ = run(workplace, resume=True)
    assert not any(record.reused for record in second.records)


def test_force_starts_again(workplace: Path) -> None:
    first, _ = run(workplace)
    second, _ = run(workplace, force=True)
    assert second.models == first.models
    assert not any(record.reused for record in second.records)


def test_two_folders_hold_the_same_model(workplace: Path) -> None:
    assert run(workplace, "one")[0].models == run(workplace, "another")[0].models


def test_a_failing_step_leaves_the_steps_before_it(workplace: Path) -> None:
    path = workplace / "recipe.toml"
    path.write_text(path.read_text().replace('kind = "quantize"', 'kind = "quantize"\nexclude = ["*"]'))
    with pytest.raises(sx.SardonyxError):
        run(workplace)
    assert [p.name for p in (workplace / "out/steps").iterdir()] == ["01-prune"]
    assert not (workplace / "out/.lock").exists()


@pytest.mark.parametrize("key", ["calibration", "evaluation"])
def test_samples_that_are_not_named_are_asked_for(workplace: Path, key: str) -> None:
    path = workplace / "recipe.toml"
    path.write_text("\n".join(line for line in path.read_text().split("\n") if not line.startswith(key)))
    with pytest.raises(sx.RecipeError, match=f"data.{key} is not given"):
        run(workplace)


def test_a_recipe_without_a_measurement_gets_one(workplace: Path) -> None:
    path = workplace / "recipe.toml"
    path.write_text(path.read_text().split('[[steps]]\nkind = "quantize"')[0])
    result, _ = run(workplace)
    assert [record.kind for record in result.records] == ["prune", "compare"]


def test_a_recipe_without_distillation_has_no_training_part(workplace: Path) -> None:
    with pytest.raises(sx.RecipeError, match="no distill step"):
        training_part(sx.read_recipe(workplace / "recipe.toml"))


def test_folders_are_made_where_they_can_be(workplace: Path) -> None:
    run(workplace, "new/out")
    assert (workplace / "new/out/model.onnx").is_file()
    with pytest.raises(sx.StorageError, match="cannot make the folder"):
        run(workplace, "recipe.toml/out")


@pytest.mark.slow
def test_a_run_killed_at_any_moment_is_resumed_to_the_same_models(workplace: Path) -> None:
    """SIGKILL before and after files and folders are put in place, in a child made by ``fork``."""
    killer = Path(__file__).with_name("killer.py")
    command = [sys.executable, str(killer), str(workplace)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["killed"] >= 30
    assert outcome["models"] == [run(workplace, "whole")[0].models] * outcome["killed"]
