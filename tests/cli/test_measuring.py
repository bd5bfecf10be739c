"""Profile, placement, plug-in libraries, doctor's findings, and completion on the command line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx import ModelArtifact
from sardonyx.core.errors import ProviderError
from sardonyx.runtime import open_session

Call = Callable[..., Any]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with ``m.onnx``, two matrix products, and ``d.npz``."""
    monkeypatch.chdir(tmp_path)
    x = ir.val("x", ir.DataType.FLOAT, ["n", 32])
    weights = [
        ir.Value(name=f"w{i}", const_value=ir.tensor(np.eye(32, dtype=np.float32) * 0.5, name=f"w{i}"))
        for i in (0, 1)
    ]
    first = ir.node("MatMul", [x, weights[0]], name="first")
    relu = ir.node("Relu", first.outputs, name="relu")
    last = ir.node("MatMul", [relu.outputs[0], weights[1]], name="last")
    y = last.outputs[0]
    y.name, y.shape, y.dtype = "y", ir.Shape(["n", 32]), ir.DataType.FLOAT
    graph = ir.Graph(
        [x], [y], nodes=[first, relu, last], initializers=weights, opset_imports={"": 17}, name="g"
    )
    ModelArtifact.of(ir.Model(graph, ir_version=9)).save(tmp_path / "m.onnx")
    data = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=data, labels=np.arange(32))
    return tmp_path / "m.onnx"


def test_profile_shows_the_slowest_nodes(call: Call, model: Path) -> None:
    outcome = call("profile", "m.onnx", "--rounds", "5", "--top", "1", "--threads", "1")
    assert outcome.code == 0
    assert "GMAC/s" in outcome.out
    assert "2 more nodes" in outcome.out


def test_profile_sets_a_quantized_model_against_its_original(call: Call, model: Path) -> None:
    assert call("quantize", "m.onnx", "--calib", "d.npz", "-o", "q.onnx", "--textbook", "narrow").code == 0
    outcome = call(
        "profile", "m.onnx", "q.onnx", "--data", "d.npz", "--batch", "4", "--rounds", "6", "--json"
    )
    document = outcome.document
    assert [m["model"] for m in document["models"]] == ["m.onnx", "q.onnx"]
    assert document["models"][0]["conversion_ms"] == 0
    became = {n["node"] for n in document["change"]["nodes"] if n["became_integer"]}
    assert became
    assert set(document["not_helped"]) <= became
    assert "conversions between float and integers take" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("m.onnx", "--rounds", "1"), 2),
        (("m.onnx", "--top", "0"), 2),
        (("m.onnx", "--ep", "abacus"), 2),
        (("none.onnx",), 3),
        (("m.onnx", "--ep", "qnn"), 5),
    ],
)
def test_profile_refuses(call: Call, model: Path, arguments: tuple[str, ...], code: int) -> None:
    outcome = call("profile", *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert len(outcome.err.splitlines()) == 2


def test_bench_shows_placement(call: Call, model: Path) -> None:
    words = ("bench", "m.onnx", "--batch", "1", "--threads", "1", "--placement")
    outcome = call(*words, "--json")
    (placed,) = outcome.document["placements"]
    assert placed["found"]["placement"]["shares"][0]["node_ratio"] == 1.0
    assert "placement of m.onnx, asked for CPUExecutionProvider" in outcome.err


@pytest.mark.parametrize("verb", [("bench",), ("compare", "--data", "d.npz"), ("profile",)])
@pytest.mark.parametrize(
    ("library", "code"), [("x", 2), ("=x", 2), ("x=", 2), ("x=none.so", 5), ("x=d.npz", 5)]
)
def test_a_library_that_cannot_be_loaded_is_refused(
    call: Call, model: Path, verb: tuple[str, ...], library: str, code: int
) -> None:
    outcome = call(*verb, "m.onnx", "--ep-library", library)
    assert (outcome.code, outcome.out) == (code, "")
    assert len(outcome.err.splitlines()) == 2


def test_doctor_lists_findings(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    findings = call("doctor", "--json").document["findings"]
    assert {"subject", "is_ok", "text", "command"} == set(findings[0])
    assert "warning  threads: OMP_NUM_THREADS=3" in call("doctor").out


def test_completion_is_there(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: "bash")
    assert "complete -o default -F _sardonyx_completion sardonyx" in call("--show-completion", "bash").out


def test_a_shell_is_told_how_a_word_goes_on(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    asked = {"_SARDONYX_COMPLETE": "complete_bash", "COMP_WORDS": "sardonyx pro", "COMP_CWORD": "1"}
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    assert call().out.split() == ["profile"]


@pytest.mark.gpu
@pytest.mark.parametrize("verb", [("bench",), ("compare", "--data", "d.npz"), ("profile",)])
def test_onnxruntime_gpu_without_a_driver_gives_no_figure(model: Path, verb: tuple[str, ...]) -> None:
    try:
        metadata.version("onnxruntime-gpu")
    except metadata.PackageNotFoundError:
        pytest.skip("onnxruntime-gpu is not installed")
    if shutil.which("nvidia-smi"):
        pytest.skip("there is a driver")
    command = [sys.executable, "-m", "sardonyx", *verb, "m.onnx", "--ep", "cuda"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (5, "")
    assert "error: CUDAExecutionProvider was asked for, and ONNX Runtime could not start it" in refused.stderr
    allowed = subprocess.run([*command, "--allow-fallback"], capture_output=True, text=True, check=False)
    assert allowed.returncode == 0
    assert "took CPUExecutionProvider" in allowed.stdout
    with pytest.raises(ProviderError):
        open_session(ModelArtifact.open(model), "cuda")
