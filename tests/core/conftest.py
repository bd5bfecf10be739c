"""Small models as text, and what every refusal must keep to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import onnx.parser
import pytest
from sardonyx.core import Limits, ModelArtifact, SardonyxError

HEAD = '<ir_version: 9, opset_import: ["" : 18, "d" : 1, "com.microsoft" : 1]>\n'
ADD = "g (float[4] x) => (float[4] y) <float[4] w = {0, 1, 2, 3}> { y = Add(x, w) }"


def parse(text: str = ADD, head: str = HEAD) -> onnx.ModelProto:
    return onnx.parser.parse_model(head + text)


def _assert_refused(
    path: Path, *words: str, kind: type[SardonyxError], limits: Limits | None = None
) -> SardonyxError:
    """Open a file that must be refused: one line of cause with these words, one of remedy, nothing written."""
    before = {p: p.lstat().st_mtime_ns for p in path.parent.rglob("*")}
    with pytest.raises(kind) as caught:
        ModelArtifact.open(path, limits)
    assert all(word in caught.value.cause for word in words), caught.value.cause
    assert caught.value.remedy
    assert "\n" not in caught.value.cause + caught.value.remedy
    assert before == {p: p.lstat().st_mtime_ns for p in path.parent.rglob("*")}
    return caught.value


@pytest.fixture
def model() -> Callable[..., onnx.ModelProto]:
    """Parse a model from text; without text, one Add of an input and a weight."""
    return parse


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a model, given as text, message or bytes, and return its path."""

    def write_model(content: str | bytes | onnx.ModelProto = ADD, name: str = "m.onnx") -> Path:
        made = parse(content) if isinstance(content, str) else content
        path = tmp_path / name
        path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
        return path

    return write_model


@pytest.fixture
def assert_refused() -> Callable[..., SardonyxError]:
    return _assert_refused
