"""Rows 63, 64 and 65: commands that are killed, interrupted, or started twice in one folder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from crash_commands import judge_all, small_model, staged
from crash_injection import spread
from crash_resumes import judge_states, rehearsed
from sardonyx import ModelArtifact
from sardonyx.pipeline.lock import LOCK_NAME, start_of

RECIPE = """model = "m.onnx"
[data]
calibration = "d.npz"
evaluation = "d.npz"
[[steps]]
kind = "prune"
params = 0.6
align = 4
[[steps]]
kind = "compare"
batches = [1]
rounds = 5
"""
SLOW = pytest.mark.slow
SEARCH = ("optimize", "m.onnx", "--calib", "d.npz", "--eval", "d.npz", "--max-drop", "0.1", "--force")


@pytest.fixture(autouse=True)
def given(place: Path, samples) -> None:
    """A model, samples of it, and a recipe."""
    ModelArtifact.of(small_model()).save(place / "m.onnx")
    samples(x=np.random.default_rng(0).normal(size=(8, 3, 8, 8)).astype("f4"), labels=np.arange(8) % 5)
    (place / "recipe.toml").write_text(RECIPE)


@pytest.mark.row(63)
@pytest.mark.parametrize("name", ["run", pytest.param("heal", marks=SLOW)])
def test_what_goes_on_comes_to_the_same_models(name: str) -> None:
    rehearsal = rehearsed(name)
    assert judge_states(rehearsal, spread(rehearsal.states, 4)[1:-1]) == {}


@pytest.mark.row(63)
@pytest.mark.parametrize(
    ("name", "kind"),
    [("a large model", "kill"), ("quantize", "power"), pytest.param("package", "power", marks=SLOW)],
)
def test_a_kill_leaves_the_old_or_the_new(name: str, kind, tmp_path: Path) -> None:
    stage = staged(name)
    points = spread(range(len(stage.whole.steps)), 5)[1:-1]
    assert judge_all(stage, kind, tmp_path, points) == {}


@pytest.mark.row(64)
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a large model", "interrupt"),
        ("quantize", "terminate"),
        pytest.param("package", "terminate", marks=SLOW),
    ],
)
def test_a_signal_leaves_nothing_behind(name: str, kind, tmp_path: Path) -> None:
    stage = staged(name)
    points = spread(range(len(stage.whole.steps)), 6)[1:-1]
    assert judge_all(stage, kind, tmp_path, points) == {}


@pytest.mark.row(64)
def test_children_end_too(place: Path) -> None:
    (place / "metric.py").write_text(
        "import os, time\ndef slow(path):\n"
        "    open('child', 'w').write(f'{os.getpid()}')\n    time.sleep(100)\n    return 1.0\n"
    )
    words = (
        "compare",
        "m.onnx",
        "m.onnx",
        "--data",
        "d.npz",
        "--metric",
        "metric.py:slow",
        "--timeout",
        "90",
    )
    command = [sys.executable, "-B", "-m", "sardonyx", *words]
    # where the tests run in the background, the shell has them ignore interrupts
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    parent = subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, text=True, **heed)
    told = place / "child"
    while parent.poll() is None and not (told.exists() and told.read_text()):
        time.sleep(0.05)
    parent.send_signal(signal.SIGINT)
    said = parent.communicate(timeout=60)[1]
    assert (parent.returncode, said.count("error:"), said.count("hint:")) == (130, 1, 1), said
    deadline = time.monotonic() + 20
    while start_of(int(told.read_text())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert start_of(int(told.read_text())) == ""


@pytest.fixture
def busy(place: Path):
    """A folder in which a process runs; its number."""
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    (place / "out").mkdir()
    owner = {"pid": sleeper.pid, "started": start_of(sleeper.pid)}
    (place / "out" / LOCK_NAME).write_text(json.dumps(owner))
    yield sleeper
    sleeper.kill()
    sleeper.wait()


@pytest.mark.row(65)
@pytest.mark.parametrize(
    "words",
    [("run", "recipe.toml", "--force"), ("run", "recipe.toml", "--resume"), SEARCH],
    ids=["run-force", "run-resume", "optimize-force"],
)
def test_a_second_run_is_refused_by_the_first_ones_number(refused, busy, words) -> None:
    said = refused(*words, "-o", "out", code=2, says=f"process {busy.pid} is running in out")
    assert "wait for it or choose another folder" in said


@pytest.mark.row(65)
def test_the_lock_of_a_killed_run_is_broken_and_that_is_said(accepted, busy, place: Path) -> None:
    busy.kill()
    busy.wait()
    outcome = accepted("run", "recipe.toml", "-o", "out", "--resume", cpu_s=60)
    assert f"broke the lock of process {busy.pid}, which is not running any more" in outcome.err
    assert not (place / "out" / LOCK_NAME).exists()
    assert (place / "out/model.onnx").exists()
