"""Healing from the command line: a cut model comes back, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx import ModelArtifact

pytest.importorskip("torch")

Call = Callable[..., Any]


def network() -> ir.Model:
    """A convolution and a linear layer: images (N, 3, 8, 8) to 4 scores."""
    random = np.random.default_rng(0)
    image = ir.val("image", ir.DataType.FLOAT, ["batch", 3, 8, 8])
    shapes = {"first.weight": (32, 3, 3, 3), "second.weight": (32, 32, 3, 3), "head.weight": (32, 4)}
    weights = [
        ir.Value(name=name, const_value=ir.tensor(random.normal(0, 0.2, shape).astype(np.float32), name=name))
        for name, shape in shapes.items()
    ]
    first = ir.node("Conv", [image, weights[0]], {"pads": [1] * 4}, name="first")
    relu = ir.node("Relu", first.outputs, name="relu")
    second = ir.node("Conv", [*relu.outputs, weights[1]], {"pads": [1] * 4}, name="second")
    pooled = ir.node("GlobalAveragePool", second.outputs, name="pool")
    flat = ir.node("Flatten", pooled.outputs, name="flat")
    head = ir.node("MatMul", [*flat.outputs, weights[2]], name="head")
    scores = head.outputs[0]
    scores.name, scores.shape, scores.dtype = "scores", ir.Shape(["batch", 4]), ir.DataType.FLOAT
    nodes = [first, relu, second, pooled, flat, head]
    graph = ir.Graph(
        [image], [scores], nodes=nodes, initializers=weights, opset_imports={"": 17}, name="small"
    )
    return ir.Model(graph, ir_version=9)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> Path:
    """The current folder, with ``m.onnx``, ``d.npz`` without labels, and ``cut.onnx``."""
    monkeypatch.chdir(tmp_path)
    ModelArtifact.of(network()).save(tmp_path / "m.onnx")
    images = np.random.default_rng(0).normal(size=(96, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "d.npz", image=images)
    words = ("--calib", "d.npz", "--ratio", "0.5", "--align", "1", "--criterion", "random", "--no-compensate")
    assert call("prune", "m.onnx", *words, "-o", "cut.onnx").code == 0
    return tmp_path


HEAL = ("heal", "cut.onnx", "--teacher", "m.onnx", "--data", "d.npz", "--epochs", 3, "--batch", 8)


def test_a_cut_model_comes_back_and_nothing_is_left_behind(call: Call, place: Path) -> None:
    before = set(place.iterdir())
    outcome = call(*HEAL, "--learning-rate", "0.01", "-o", "healed.onnx", "--json")
    assert outcome.code == 0
    report = outcome.document["report"]
    assert report["evaluation_score"] > report["before_score"] + 0.1
    assert report["answers"][0]["loss"] == "mse"
    assert outcome.document["proof_error"] < 1e-4
    assert set(place.iterdir()) == before | {place / "healed.onnx"}


def test_what_happens_is_said(call: Call, place: Path) -> None:
    outcome = call(*HEAL, "--limit", 32, "-o", "healed.onnx")
    assert "scores by mse; no labels" in outcome.err
    assert "12 steps, about" in outcome.err
    assert "agreement on" in outcome.out


@pytest.mark.parametrize(
    ("words", "code", "cause"),
    [
        (("--teacher", "d.npz"), 3, "d.npz"),
        (("--loss", "kl"), 2, "kl cannot compare"),
        (("--optimizer", "adam"), 2, "optimizer 'adam'"),
        (("--learning-rate", "1e30"), 1, "the loss is"),
        (("--data", "none.npz"), 3, "none.npz"),
    ],
)
def test_what_cannot_be_healed_leaves_no_model(
    call: Call, place: Path, words: tuple[str, ...], code: int, cause: str
) -> None:
    outcome = call(*HEAL, *words, "-o", "healed.onnx")
    assert (outcome.code, outcome.out) == (code, "")
    assert cause in outcome.err
    assert not Path("healed.onnx").exists()


def test_integers_are_refused(call: Call, place: Path) -> None:
    assert call("quantize", "cut.onnx", "--calib", "d.npz", "-o", "int8.onnx").code == 0
    outcome = call("heal", "int8.onnx", *HEAL[2:], "-o", "healed.onnx")
    assert outcome.code == 3
    assert "quantized already" in outcome.err


def test_healing_with_rounding_writes_integers(call: Call, place: Path) -> None:
    outcome = call(*HEAL, "--qat", "--target", "cpu-x86", "--weight-bits", 4, "-o", "int4.onnx", "--json")
    assert outcome.code == 0
    assert outcome.document["quantization"]["types"]["weight_bits"] == 4
    assert (
        call("compare", "m.onnx", "int4.onnx", "--data", "d.npz", "--metric", "cosine", "--batch", 1).code
        == 0
    )


@pytest.mark.parametrize(
    ("words", "code", "cause"),
    [
        (("--weight-bits", 4), 2, "belong to --qat"),
        (("--qat", "--weight-bits", 5), 2, "weights of 5 bits"),
        (("--qat", "--target", "toaster"), 2, "toaster"),
        (("--qat", "--exclude", "*"), 3, "can run in integers"),
    ],
)
def test_rounding_that_cannot_be(
    call: Call, place: Path, words: tuple[object, ...], code: int, cause: str
) -> None:
    outcome = call(*HEAL, *words, "-o", "int.onnx")
    assert outcome.code == code
    assert cause in outcome.err


def heal_apart(*launcher: str, output: str, more: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    """Healing in a process of its own, or several."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [*launcher, "-m", "sardonyx", *map(str, HEAL), "--learning-rate", "0.01", "-o", output, *more]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def agreement(call: Call, path: str) -> float:
    words = ("m.onnx", path, "--data", "d.npz", "--metric", "sqnr", "--batch", 1, "--json")
    found: float = call("compare", *words).document["rows"][1]["accuracy"]["value"]
    return found


@pytest.mark.slow
def test_a_killed_healing_goes_on_to_the_same_model(call: Call, place: Path) -> None:
    assert call(*HEAL, "--learning-rate", "0.01", "--epochs", 40, "-o", "whole.onnx").code == 0
    process = heal_apart(sys.executable, output="killed.onnx", more=("--epochs", "40"))
    state = place / "killed.heal.resume.safetensors"
    deadline = time.monotonic() + 60
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert state.exists()
    assert not Path("killed.onnx").exists()
    again = (*HEAL, "--learning-rate", "0.01", "--epochs", 40, "-o", "killed.onnx", "--resume")
    assert call(*again).code == 0
    assert Path("killed.onnx").read_bytes() == Path("whole.onnx").read_bytes()


@pytest.mark.slow
def test_two_processes_heal_as_well_as_one(call: Call, place: Path) -> None:
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    assert heal_apart(*launcher, output="two.onnx").wait(timeout=240) == 0
    assert call(*HEAL, "--learning-rate", "0.01", "-o", "one.onnx").code == 0
    assert agreement(call, "two.onnx") == pytest.approx(agreement(call, "one.onnx"), abs=3.0)
    assert agreement(call, "two.onnx") > agreement(call, "cut.onnx")
