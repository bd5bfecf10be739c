"""One run in a folder at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sardonyx.core.errors import StorageError, UsageError
from sardonyx.pipeline.lock import LOCK_NAME, locked
from sardonyx.pipeline.monitor import Silent


class Listener(Silent):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def note(self, text: str) -> None:
        self.heard.append(text)


def test_the_lock_goes_with_the_block(tmp_path: Path) -> None:
    with locked(tmp_path, Silent()):
        assert json.loads((tmp_path / LOCK_NAME).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_the_lock_goes_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path, Silent()):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_is_refused_by_name(tmp_path: Path) -> None:
    with (
        locked(tmp_path, Silent()),
        pytest.raises(UsageError, match=f"process {os.getpid()} is running"),
        locked(tmp_path, Silent()),
    ):
        pass


def test_the_lock_of_a_dead_process_is_broken_and_that_is_said(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    (tmp_path / LOCK_NAME).write_text(json.dumps({"pid": child.pid, "started": ""}))
    listener = Listener()
    with locked(tmp_path, listener):
        assert listener.heard == [f"broke the lock of process {child.pid}, which is not running any more"]


def test_a_reused_process_number_does_not_keep_a_lock(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).write_text(json.dumps({"pid": os.getpid(), "started": "before the last boot:1"}))
    with locked(tmp_path, Silent()):
        assert json.loads((tmp_path / LOCK_NAME).read_text())["started"] != "before the last boot:1"


def test_a_lock_that_says_nothing_is_held_for_a_moment_only(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).touch()
    with pytest.raises(UsageError, match="another process"), locked(tmp_path, Silent()):
        pass
    os.utime(tmp_path / LOCK_NAME, (time.time() - 60,) * 2)
    with locked(tmp_path, Silent()):
        pass


def test_a_folder_that_is_not_there_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write the lock"), locked(tmp_path / "none", Silent()):
        pass
