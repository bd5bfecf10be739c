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
from sardonyx.pipeline.lock import LOCK_NAME, is_alive, locked, start_of
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


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"\xff", b'{"pid": "x", "started": ""}', b'{"pid": 1}']
)
def test_a_lock_that_names_nobody_is_broken_when_it_is_old(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LOCK_NAME).write_bytes(content)
    with pytest.raises(UsageError, match="if nothing runs there, delete"), locked(tmp_path, Silent()):
        pass
    os.utime(tmp_path / LOCK_NAME, (time.time() - 60,) * 2)
    listener = Listener()
    with locked(tmp_path, listener):
        assert "ended before it wrote its number" in listener.heard[0]


def test_a_full_disk_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(StorageError, match="No space left"), locked(tmp_path, Silent()):
        pass
    assert list(tmp_path.iterdir()) == []


RACER = """import sys, time
from pathlib import Path
from sardonyx.core.errors import UsageError
from sardonyx.pipeline.lock import locked
from sardonyx.pipeline.monitor import Silent
print("ready", flush=True)
sys.stdin.readline()
try:
    with locked(Path(sys.argv[1]), Silent()):
        print("mine", flush=True)
        sys.stdin.readline()
except UsageError as error:
    print(error.cause.split()[0], flush=True)
"""


def test_of_many_that_find_a_stale_lock_one_gets_it(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).write_text(json.dumps({"pid": os.getpid(), "started": "before the last boot:1"}))
    command = [sys.executable, "-c", RACER, str(tmp_path)]
    racers = [subprocess.Popen(command, stdin=-1, stdout=-1, text=True, bufsize=1) for _ in range(4)]
    try:
        assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 4
        for racer in racers:
            racer.stdin.write("go\n")
        assert sorted(racer.stdout.readline() for racer in racers) == ["mine\n", *["process\n"] * 3]
    finally:
        for racer in racers:
            racer.communicate("end\n")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_begun_when_its_process_died_goes(tmp_path: Path) -> None:
    (tmp_path / f".{LOCK_NAME}.999999-0123abcd.tmp").write_bytes(b'{"pid"')
    with locked(tmp_path, Silent()):
        assert [path.name for path in tmp_path.iterdir()] == [LOCK_NAME]


def test_a_process_of_another_user_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    assert is_alive(1, start_of(1))


def test_a_number_that_was_given_again_is_not_the_process() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = start_of(child.pid)
    assert is_alive(child.pid, started)
    assert not is_alive(child.pid, started + "0")
    child.communicate(b"\n")
    assert not is_alive(child.pid, started)
    assert start_of(child.pid) == ""


def test_a_process_that_ended_and_was_not_asked_how_holds_no_lock(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = {"pid": child.pid, "started": start_of(child.pid)}
    (tmp_path / LOCK_NAME).write_text(json.dumps(owner))
    with pytest.raises(UsageError, match=f"process {child.pid} is running"), locked(tmp_path, Silent()):
        pass
    child.kill()
    while start_of(child.pid):
        time.sleep(0.01)
    with locked(tmp_path, Silent()):
        assert json.loads((tmp_path / LOCK_NAME).read_text())["pid"] == os.getpid()
    child.communicate()
