"""``sardonyx optimize``: what it refuses, and what it says where nothing is gained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import sardonyx as sx
from sardonyx.cli.text import parse_duration

Call = Callable[..., Any]
WORDS = ("--calib", "d.npz", "--eval", "d.npz", "--metric", "cosine", "--max-drop", 0.01, "-o", "out")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``m.onnx``, in which there is nothing to cut and nothing to quantize, and ``d.npz``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path / "cache"))
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[N,8] x) => (float[N,8] y) { y = Sigmoid(x) }'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "m.onnx")
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).normal(size=(32, 8)).astype(np.float32))
    return tmp_path


def test_where_nothing_is_gained_the_exit_code_is_1_and_the_document_says_why(
    call: Call, place: Path
) -> None:
    done = call("optimize", "m.onnx", *WORDS, "--json")
    assert done.code == 1
    assert done.document["taken"] is None
    assert done.document["error"]["type"] == "NothingGainedError"
    assert "no difference" in done.document["reason"]
    assert "report.html" in done.err
    assert (place / "out" / "report.html").is_file()
    assert not (place / "out" / "model.onnx").exists()


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("--time", "soon"), "is not a time"),
        (("--max-bytes", "small"), "is not a size"),
        (("--metric", "sqnr"), "no drop"),
        (("--ep", "nonsense"), "unknown execution provider"),
    ],
)
def test_what_cannot_be_asked_leaves_nothing_behind(
    call: Call, place: Path, words: tuple[str, ...], cause: str
) -> None:
    done = call("optimize", "m.onnx", *WORDS, *words)
    assert done.code == 2
    assert cause in done.err
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("1h30m", 5400), ("2min", 120)],
)
def test_times_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "m", "10 parsecs", "-5m", "1h-3m", "nan"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(sx.UsageError, match="is not a time"):
        parse_duration(text)
