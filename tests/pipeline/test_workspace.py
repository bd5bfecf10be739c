"""A run's folder: steps that are there or not, and reused only when nothing about them has changed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sardonyx.core.errors import UsageError
from sardonyx.core.files import write_atomic
from sardonyx.pipeline.workspace import (
    MANIFEST,
    RECIPE,
    StepRecord,
    finished_step,
    forget,
    identity_of,
    prepare_folder,
    sweep,
    write_step,
)


def make(folder: Path, content: bytes = b"model", identity: str = "abc") -> StepRecord:
    def work(aside: Path) -> dict[str, float]:
        write_atomic(aside / "model.onnx", content)
        return {"top1": 0.5}

    return write_step(folder, "cut", "prune", identity, work, time.monotonic)


def test_a_finished_step_is_found_again(tmp_path: Path) -> None:
    made = make(tmp_path / "steps" / "01-cut")
    found = finished_step(made.folder, "abc")
    assert found == made
    assert isinstance(found, StepRecord)
    assert found.reused
    assert found.figures == {"top1": 0.5}


def test_a_step_with_another_identity_is_not_reused(tmp_path: Path) -> None:
    make(tmp_path / "01-cut")
    assert finished_step(tmp_path / "01-cut", "xyz") == "the recipe, an input or a library has changed"


def test_a_step_whose_file_changed_is_not_reused(tmp_path: Path) -> None:
    make(tmp_path / "01-cut")
    (tmp_path / "01-cut" / "model.onnx").write_bytes(b"other")
    assert finished_step(tmp_path / "01-cut", "abc") == "model.onnx has changed on disk"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', "\x00"])
def test_a_broken_record_is_not_reused(tmp_path: Path, content: str) -> None:
    make(tmp_path / "01-cut")
    (tmp_path / "01-cut" / MANIFEST).write_text(content)
    assert "cannot be read" in str(finished_step(tmp_path / "01-cut", "abc"))


def test_a_step_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def work(aside: Path) -> dict[str, float]:
        write_atomic(aside / "model.onnx", b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_step(tmp_path / "01-cut", "cut", "prune", "abc", work, time.monotonic)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / "steps" / ".01-cut.77-abcd.tmp").mkdir(parents=True)
    (tmp_path / ".report.json.77-abcd.tmp").touch()
    make(tmp_path / "steps" / "02-cut")
    sweep(tmp_path)
    assert [p.name for p in (tmp_path / "steps").iterdir()] == ["02-cut"]
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize("value", [{"b": 1, "a": 2}, {"a": 2, "b": 1}])
def test_identity_does_not_depend_on_order(value: dict[str, int]) -> None:
    assert identity_of(value) == identity_of({"a": 2, "b": 1})
    assert identity_of(value) != identity_of({"a": 2, "b": 2})


def test_an_earlier_run_needs_a_word(tmp_path: Path) -> None:
    (tmp_path / RECIPE).touch()
    with pytest.raises(UsageError, match="earlier run") as caught:
        prepare_folder(tmp_path, resume=False, force=False)
    assert "--resume" in caught.value.remedy
    prepare_folder(tmp_path, resume=True, force=False)
    prepare_folder(tmp_path, resume=False, force=True)


def test_somebody_elses_folder_is_never_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match="no run has written"):
        prepare_folder(tmp_path, resume=True, force=True)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(UsageError, match="not a folder"):
        prepare_folder(tmp_path / "out", resume=False, force=True)


def test_forgetting_leaves_what_no_run_wrote(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    make(tmp_path / "steps" / "01-cut")
    forget(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
