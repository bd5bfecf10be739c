"""A recipe by two processes: the first one writes, and the result is that of one process within noise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = """
seed = 0
[data]
train = "digits:train:600"
evaluation = "digits:test"
[[steps]]
kind = "train"
name = "teacher"
source = "models.py:teacher"
epochs = 3
batch_size = 32
[[steps]]
kind = "distill"
name = "student"
source = "models.py:student"
teacher = "teacher"
epochs = 6
batch_size = 32
pairs = "1:1"
feature_weight = 1.0
[[steps]]
kind = "mutual"
name = "peers"
sources = ["models.py:student", "models.py:teacher"]
epochs = 3
batch_size = 32
"""
MODELS = """
from torch import nn

def teacher():
    return net(32)

def student():
    return net(8)

def net(width):
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, 2, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(16 * width, 10),
    )
"""
TORCHRUN = (
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc-per-node=2",
    "-m",
    "sardonyx",
)


def distil(place: Path, words: tuple[str, ...], out: str, *more: str) -> subprocess.CompletedProcess[str]:
    (place / "recipe.toml").write_text(RECIPE, encoding="utf8")
    (place / "models.py").write_text(MODELS, encoding="utf8")
    command = [*words, "distill", "recipe.toml", "-o", out, *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "SARDONYX_CACHE": str(place / "cache")}
    return subprocess.run(
        command, cwd=place, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def report(folder: Path, step: str) -> dict:
    return json.loads((folder / "report.json").read_text())["steps"][step]["report"]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    for words, out in (((sys.executable, "-m", "sardonyx"), "one"), (TORCHRUN, "two")):
        done = distil(folder, words, out)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_the_result_is_within_noise_of_one_process(place) -> None:
    one, two = (report(place / out, "student") for out in ("one", "two"))
    assert (one["processes"], two["processes"]) == (1, 2)
    assert min(one["evaluation_score"], two["evaluation_score"]) > 0.7
    assert abs(one["evaluation_score"] - two["evaluation_score"]) < 0.1
    assert not (place / "two" / ".lock").exists()


@pytest.mark.slow
def test_networks_that_teach_each_other_share_the_work_too(place) -> None:
    one, two = (report(place / out, "peers") for out in ("one", "two"))
    assert (one["together"]["processes"], two["together"]["processes"]) == (1, 2)
    for alone, shared in zip(one["networks"], two["networks"], strict=True):
        assert min(alone["evaluation_score"], shared["evaluation_score"]) > 0.6
        assert abs(alone["evaluation_score"] - shared["evaluation_score"]) < 0.15
    files = {path.name for path in (place / "two/steps/03-peers").iterdir()}
    assert files == {"weights.1.safetensors", "weights.2.safetensors", "result.json", "manifest.json"}


@pytest.mark.slow
def test_finished_steps_are_reused_by_all(place) -> None:
    done = distil(place, TORCHRUN, "two", "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("finished before, reused") == 3


@pytest.mark.slow
def test_a_folder_in_use_is_refused_by_all(place) -> None:
    done = distil(place, TORCHRUN, "two")
    with pytest.raises(subprocess.CalledProcessError):
        done.check_returncode()
    assert "--resume" in done.stderr
