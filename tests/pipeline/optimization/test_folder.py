"""The folder of a search: nothing of anybody else's is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import sardonyx as sx
from sardonyx.pipeline.lock import LOCK_NAME
from sardonyx.pipeline.monitor import Silent
from sardonyx.pipeline.optimization.folder import SEARCH, held_folder, open_folder


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    assert open_folder(tmp_path / "a" / "b", resume=False, force=False).joinpath(SEARCH).is_file()


def test_a_folder_of_something_else_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    for words in ({"resume": True, "force": False}, {"resume": False, "force": True}):
        with pytest.raises(sx.UsageError, match="no search has written"):
            open_folder(tmp_path, **words)
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


def test_an_earlier_search_wants_a_flag(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "out", resume=False, force=False)
    (folder / "model.onnx").write_bytes(b"old")
    with pytest.raises(sx.UsageError, match="earlier search"):
        open_folder(folder, resume=False, force=False)
    assert open_folder(folder, resume=True, force=False).joinpath("model.onnx").exists()
    assert not open_folder(folder, resume=False, force=True).joinpath("model.onnx").exists()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(sx.UsageError, match="not a folder"):
        open_folder(tmp_path / "file", resume=False, force=False)


def test_a_search_that_is_running_is_joined_and_never_forgotten(tmp_path: Path) -> None:
    with held_folder(tmp_path, Silent(), resume=False, force=False) as folder:
        (folder / "model.onnx").write_bytes(b"found")
        with (
            pytest.raises(sx.UsageError, match=f"process {os.getpid()} is running"),
            held_folder(folder, Silent(), resume=False, force=True),
        ):
            pass
        with held_folder(folder, Silent(), resume=True, force=False) as joined:
            assert joined.joinpath("model.onnx").read_bytes() == b"found"
        assert folder.joinpath(LOCK_NAME).exists()
    assert {path.name for path in tmp_path.iterdir()} == {SEARCH, "model.onnx"}
