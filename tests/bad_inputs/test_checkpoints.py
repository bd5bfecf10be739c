"""Row 58: checkpoints that would run code are refused wherever weights, models or samples are taken, and run nothing."""

from __future__ import annotations

import io
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest

TORCH_S = 30
"""Processor time of a command that imports torch first."""

SOURCE = """from torch import nn


def net():
    return nn.Linear(3, 2)
"""


class Bomb:
    """Unpickled, it would make a folder where the command runs."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("unpickled",)


@pytest.fixture(scope="module")
def checkpoints() -> dict[str, bytes]:
    """What each kind of checkpoint that holds more than tensors looks like."""
    torch = pytest.importorskip("torch")

    def saved(thing: object, save: Any = torch.save) -> bytes:
        file = io.BytesIO()
        save(thing, file)
        return file.getvalue()

    module = torch.nn.Linear(3, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.trace(module, torch.ones(1, 3))
        return {
            "malicious": saved({"weight": torch.ones(2, 3), "bias": Bomb()}),
            "bare pickle": pickle.dumps(Bomb()),
            "whole module": saved(module),
            "TorchScript": saved(script, torch.jit.save),
        }


KINDS = ("malicious", "bare pickle", "whole module", "TorchScript")


@pytest.mark.row(58)
def test_the_payload_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Bomb()))
    assert (tmp_path / "unpickled").is_dir()


@pytest.mark.row(58)
@pytest.mark.parametrize("kind", KINDS)
def test_as_weights(refused: Any, place: Path, checkpoints: dict[str, bytes], kind: str) -> None:
    (place / "net.py").write_text(SOURCE)
    (place / "w.pt").write_bytes(checkpoints[kind])
    words = ("--weights", "w.pt", "--input", "x=1x3", "-o", "m.onnx")
    told = refused("export", "net.py:net", *words, cpu_s=TORCH_S, says="w.pt was refused")
    assert "safetensors" in told


@pytest.mark.row(58)
@pytest.mark.parametrize("name", ["w.onnx", "w.pt"])
@pytest.mark.parametrize("kind", KINDS)
def test_as_a_model(refused: Any, place: Path, checkpoints: dict[str, bytes], kind: str, name: str) -> None:
    (place / name).write_bytes(checkpoints[kind])
    refused("inspect", name)


@pytest.mark.row(58)
@pytest.mark.parametrize("kind", KINDS)
def test_as_samples(refused: Any, write: Any, place: Path, checkpoints: dict[str, bytes], kind: str) -> None:
    write()
    for name in ("w.pt", "w.npz"):
        (place / name).write_bytes(checkpoints[kind])
        refused("quantize", "m.onnx", "--calib", name, "-o", "q.onnx")


@pytest.mark.row(58)
def test_as_a_data_set(refused: Any, write: Any, place: Path, checkpoints: dict[str, bytes]) -> None:
    write()
    (place / "cifar").mkdir()
    for name in ("test_batch", *(f"data_batch_{i}" for i in range(1, 6))):
        (place / "cifar" / name).write_bytes(checkpoints["bare pickle"])
    words = ("--calib", "cifar10:test", "--root", "cifar", "-o", "q.onnx")
    refused("quantize", "m.onnx", *words, says="which is not data")


RECIPE = """
[data]
train = "digits"
evaluation = "digits"
[[steps]]
kind = "distill"
source = "net.py:net"
teacher = "net.py:net"
teacher_weights = "w.pt"
epochs = 1
"""


@pytest.mark.row(58)
def test_as_the_weights_of_a_teacher(run: Any, place: Path, checkpoints: dict[str, bytes]) -> None:
    (place / "net.py").write_text(SOURCE)
    (place / "w.pt").write_bytes(checkpoints["malicious"])
    (place / "r.toml").write_text(RECIPE)
    found = run("distill", "r.toml", "-o", "out", cpu_s=TORCH_S)
    assert found.code == 3, found
    assert "w.pt was refused" in found.err
    assert not list(place.rglob("unpickled"))


@pytest.mark.row(58)
def test_as_the_state_of_an_interrupted_training(
    refused: Any, write: Any, place: Path, samples: Any, checkpoints: dict[str, bytes]
) -> None:
    write()
    samples(x=[[1.0, 2.0, 3.0, 4.0]] * 8)
    (place / "h.heal.resume.safetensors").write_bytes(checkpoints["malicious"])
    words = ("--teacher", "m.onnx", "--data", "d.npz", "--resume", "-o", "h.onnx")
    refused("heal", "m.onnx", *words, cpu_s=TORCH_S, says="cannot be taken up again")
