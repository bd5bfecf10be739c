"""Packaging and verifying from the command line: what is written, printed and refused, and with which exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sardonyx.cli.package import command_of
from small_bundle import classifier, pictures

Call = Callable[..., Any]
BUNDLE = ("package", "m.onnx", "--for", "linux", "-o", "out", "--samples", 4, "--no-latency")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with ``m.onnx`` and ``d.npz``."""
    monkeypatch.chdir(tmp_path)
    classifier().save(tmp_path / "m.onnx")
    np.savez(tmp_path / "d.npz", **pictures(12), labels=np.arange(12) % 3)
    return tmp_path


def test_a_bundle_is_made_and_verified(call: Call, place: Path) -> None:
    words = ("--data", "d.npz", "--labels", "cat,<b>dog</b>,owl", "--licence", "MIT", "--reference", "m.onnx")
    made = call(*BUNDLE, *words, "--name", "cats", "--json")
    assert made.code == 0
    (bundle,) = made.document["bundles"]
    assert bundle["manifest"]["name"] == "cats"
    assert {check["status"] for check in bundle["checks"]} == {"passed"}
    assert bundle["manifest"] == json.loads((place / "out/manifest.json").read_text())
    assert "`<b>dog</b>`" in (place / "out/README.md").read_text()
    assert "cats for linux" in made.err
    verified = call("verify", "out", "--json").document
    assert verified["passed"]
    assert verified["provider"] == "cpu"


def test_several_platforms_are_several_folders(call: Call, place: Path) -> None:
    outcome = call(*BUNDLE, "--for", "android", "--fix", "N=1", "-v")
    assert outcome.code == 0
    assert sorted(path.name for path in (place / "out").iterdir()) == ["android", "linux"]
    assert "NNAPI" in outcome.out
    assert "7 of" not in call("verify", "out/android").out
    refused = call("verify", "out")
    assert refused.code == 3
    assert "android, linux" in refused.err


def test_the_command_is_told_without_folders(place: Path) -> None:
    (place / "names").mkdir()
    (place / "names/labels.txt").write_text("a\nb\nc\n")
    given = {
        "model": Path("/home/someone/m.onnx"),
        "platforms": ["linux", "web"],
        "output": Path("/srv/out"),
        "data": "/home/someone/d.npz",
        "labels": "names/labels.txt",
        "reference": Path("/home/someone/float model.onnx"),
        "samples": 16,
        "latency": False,
        "fix": ["N=1"],
        "evaluation": "digits:test",
        "name": None,
    }
    assert command_of(given, 7) == (
        "sardonyx package m.onnx --for linux --for web --data d.npz --labels labels.txt --reference 'float model.onnx' "
        "--no-latency --fix N=1 --eval digits:test --seed 7"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "cause"),
    [
        (("--for", "abacus"), 2, "abacus"),
        (("--labels", "a,b"), 2, "3 classes"),
        (("--labels", "nowhere.txt"), 2, "nowhere.txt"),
        (("--licence", "no licence at all"), 2, "SPDX"),
        (("--fix", "N"), 2, "--fix"),
        (("--meaning", "q=1"), 2, "--meaning"),
        (("--style", "baroque"), 2, "baroque"),
        (("--preprocess", "size=?"), 2, "preprocessing"),
        (("--reference", "none.onnx"), 3, "none.onnx"),
        (("--data", "none.npz"), 3, "none.npz"),
        (("-o", "none/out"), 5, "does not exist"),
        (("-o", "m.onnx"), 2, "also an input"),
        (("--for", "web", "--web-runtime", "."), 3, "ort.wasm"),
    ],
)
def test_package_refuses(call: Call, place: Path, arguments: tuple[str, ...], code: int, cause: str) -> None:
    before = sorted(place.iterdir())
    outcome = call(*BUNDLE, *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert cause in outcome.err
    assert sorted(place.iterdir()) == before


def test_an_existing_bundle_is_left_unless_forced(call: Call, place: Path) -> None:
    assert call(*BUNDLE).code == 0
    before = (place / "out/manifest.json").read_bytes()
    refused = call(*BUNDLE, "--name", "other")
    assert (refused.code, (place / "out/manifest.json").read_bytes()) == (2, before)
    assert call(*BUNDLE, "--name", "other", "--force").code == 0
    assert (place / "out/manifest.json").read_bytes() != before


def test_a_failed_check_is_exit_1_and_named(call: Call, place: Path) -> None:
    assert call(*BUNDLE).code == 0
    (place / "out/model.onnx").write_bytes(b"other")
    (place / "out/\x1b[2Jextra").touch()
    outcome = call("verify", "out", "--json")
    assert outcome.code == 1
    assert outcome.document["error"]["exit_code"] == 1
    assert not outcome.document["passed"]
    assert "model.onnx has 5 bytes" in outcome.document["error"]["cause"]
    assert [c["name"] for c in outcome.document["checks"] if c["status"] == "failed"] == ["files"]
    assert "\x1b" not in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"{", "JSON"),
        (b'{"schema": "sardonyx.bundle/1"}', "field required"),
        (b'{"files": ' + b"[" * 9999, "JSON"),
    ],
)
def test_a_manifest_that_cannot_be_believed_is_exit_3(
    call: Call, place: Path, content: bytes, cause: str
) -> None:
    assert call(*BUNDLE).code == 0
    (place / "out/manifest.json").write_bytes(content)
    outcome = call("verify", "out")
    assert outcome.code == 3
    assert cause in outcome.err
    assert outcome.err.count("\n") == 2


@pytest.mark.parametrize(("provider", "code"), [("qnn", 5), ("abacus", 2)])
def test_a_provider_that_is_not_there(call: Call, place: Path, provider: str, code: int) -> None:
    assert call(*BUNDLE).code == 0
    assert call("verify", "out", "--ep", provider).code == code
