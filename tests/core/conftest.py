"""Small models as text, and what every refusal must keep to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from model_text import ADD, parse_model, write_model
from sardonyx.core import Limits, ModelArtifact, SardonyxError


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
    return parse_model


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a model, given as text, message or bytes, and return its path."""

    return lambda content=ADD, name="m.onnx": write_model(tmp_path / name, content)


@pytest.fixture
def assert_refused() -> Callable[..., SardonyxError]:
    return _assert_refused
