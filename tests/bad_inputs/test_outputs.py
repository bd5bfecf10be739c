"""Rows 62, 66 and 67: a disk that is full, outputs that must not be written, and names that files may have."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from crash_commands import Stage, judge_all, small_model, staged, the_forge
from crash_injection import ALLOCATING, leftovers, spread, tree
from sardonyx import ModelArtifact

SAMPLED = {"quantize": 4, "prune": 2, "a large model": 4}
"""Steps that are tried of each command; all of them are in tests/crashes."""


def allocating(stage: Stage) -> list[int]:
    """The steps of a command that a full disk refuses."""
    return [at for at, step in enumerate(stage.whole.steps) if step.kind in ALLOCATING]


@pytest.fixture
def given(place, samples):
    """A model and samples of it."""
    ModelArtifact.of(small_model()).save(place / "m.onnx")
    samples(x=np.random.default_rng(0).normal(size=(8, 3, 8, 8)).astype("f4"))


@pytest.mark.row(62)
@pytest.mark.parametrize(
    ("name", "count"), [*SAMPLED.items(), pytest.param("package", 4, marks=pytest.mark.slow)], ids=str
)
def test_a_full_disk_leaves_what_there_was(name, count, tmp_path):
    stage = staged(name)
    assert judge_all(stage, "full", tmp_path, spread(allocating(stage), count)) == {}


@pytest.mark.row(62)
@pytest.mark.parametrize("name", ["quantize", "a large model"])
def test_the_kernel_refuses_too(name, tmp_path):
    """The real thing: no file may grow beyond 5 kB (RLIMIT_FSIZE)."""
    command, root = staged(name).command, shutil.copytree(staged(name).root, tmp_path / "root")
    before = tree(root / "work")
    trial = the_forge().run(command.arguments, root, main=command.main, file_bytes=5000)
    assert trial.code == 5, trial
    assert tree(root / "work") == before
    assert leftovers(root / "work") == []


@pytest.mark.row(62)
def test_a_result_that_cannot_be_printed_is_no_success(place, write):
    write()
    command = [sys.executable, "-m", "sardonyx", "inspect", "m.onnx", "--json"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=place, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 5
    assert "error: cannot print the result: No space left on device" in done.stderr


VERBS = {
    "quantize": ("quantize", "m.onnx", "--calib", "d.npz"),
    "prune": ("prune", "m.onnx", "--calib", "d.npz", "--params", "0.5"),
    "package": ("package", "m.onnx", "--for", "linux", "--no-latency"),
    "data": ("data", "d.npz"),
}
each_verb = pytest.mark.parametrize("words", VERBS.values(), ids=VERBS.keys())


@pytest.mark.row(66)
@pytest.mark.usefixtures("given")
@pytest.mark.parametrize(
    ("verb", "read"), [(verb, name) for verb in VERBS for name in ("m.onnx", "d.npz") if name in VERBS[verb]]
)
def test_the_output_is_not_an_input(refused, verb, read):
    refused(*VERBS[verb], "-o", read, "--force", code=2, says=f"output {read} is also an input")


@pytest.mark.row(66)
@pytest.mark.usefixtures("given")
@each_verb
def test_what_exists_stays_without_force(refused, place, words):
    (place / "out").write_text("mine")
    refused(*words, "-o", "out", code=2, says="output out exists")


@pytest.mark.row(66)
@pytest.mark.usefixtures("given")
@each_verb
def test_the_folder_is_there(refused, words):
    refused(*words, "-o", "none/out", code=5, says="none does not exist")


@pytest.mark.row(66)
@each_verb
def test_the_folder_can_be_written(words):
    """By somebody who is not root, or does not use its right to write anywhere."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "root")
        shutil.copytree(staged("quantize").root / "work", root / "work")
        (root / "work/out").chmod(0o555)
        names = {"m.onnx": "model.onnx", "d.npz": "data.npz"}
        trial = the_forge().run(
            [*(names.get(w, w) for w in words), "-o", "out/o.npz"], root, obeys_modes=True
        )
        assert (trial.code, trial.steps) == (5, ()), trial
        assert "out cannot be written" in trial.err


@pytest.mark.row(66)
@pytest.mark.usefixtures("given")
@pytest.mark.parametrize(
    ("source", "output", "told"),
    [
        ("bundle", "bundle/inside", "lies inside the input bundle"),
        ("m.onnx", ".", "holds the input m.onnx"),
        ("m.onnx", "recipe.toml", "is not a folder"),
    ],
)
def test_a_folder_is_not_written_into_an_input(refused, place, source, output, told):
    (place / "bundle").mkdir()
    (place / "recipe.toml").touch()
    refused("package", source, *VERBS["package"][2:], "-o", output, "--force", code=2, says=told)


NAMES = {
    "spaces": " a  model ",
    "unicode": "größe-模型-🪨",
    "dash": "-o",
    "long": "n" * 250,
    "newline": "two\nlines",
    "quotes": "'\"$(x)`",
    "dots": "...",
}


@pytest.mark.row(67)
@pytest.mark.usefixtures("given")
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_files_may_have_any_name(accepted, place: Path, name):
    (place / "m.onnx").rename(place / f"{name}.onnx")
    (place / "d.npz").rename(place / f"{name}.npz")
    output = ("q" + name)[:250] + ".onnx"
    accepted("quantize", "--calib", f"./{name}.npz", "-o", output, "--", f"{name}.onnx")
    assert sorted(path.name for path in place.iterdir()) == sorted((output, f"{name}.onnx", f"{name}.npz"))
    said = accepted("inspect", output).out
    assert all(line.isprintable() for line in said.splitlines())
