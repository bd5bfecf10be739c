from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest
from sardonyx.core import ModelArtifact, StorageError, UsageError, files
from sardonyx.core.files import (
    alone_appending,
    alone_in,
    atomic_folder,
    check_output,
    remove_leftovers,
    temporary_folder,
    write_atomic,
    write_new,
)

STEPS = ["fsync", "replace"]


def _full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def _names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_writes_bytes_and_streams(tmp_path):
    write_atomic(tmp_path / "a", b"one")
    write_atomic(tmp_path / "b", lambda file: file.write(b"two") and None)
    assert (tmp_path / "a").read_bytes() + (tmp_path / "b").read_bytes() == b"onetwo"
    assert _names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("step", STEPS)
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, step, _full)
    with pytest.raises(StorageError, match="No space left"):
        write_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert _names(tmp_path) == ["a"]


def test_an_interrupted_writer_leaves_nothing(tmp_path):
    def interrupted(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "a", interrupted)
    assert _names(tmp_path) == []


def test_a_full_disk_keeps_the_old_model(write, tmp_path):
    """The real thing: a child whose files may not grow beyond 1 kB."""
    path = write()
    old = path.read_bytes()
    code = (
        "import resource, signal, sys\nfrom pathlib import Path\nfrom sardonyx.core.files import write_atomic\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
        "write_atomic(Path(sys.argv[1]), bytes(10_000))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False, cwd="/"
    )
    assert "StorageError" in done.stderr
    assert path.read_bytes() == old
    assert _names(tmp_path) == ["m.onnx"]


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "with space", "-dash", "new\nline"])
def test_any_name(tmp_path, name):
    write_atomic(tmp_path / name, b"1")
    assert _names(tmp_path) == [name]


def test_the_folder_must_be_there(tmp_path):
    with pytest.raises(StorageError, match="does not exist"):
        check_output(tmp_path / "no" / "a")
    with pytest.raises(StorageError, match="cannot write"):
        write_atomic(tmp_path / "no" / "a", b"1")


def test_an_output_is_not_an_input_and_not_there(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"1")
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(UsageError, match="also an input"):
        check_output(tmp_path / "link", force=True, inputs=[path])
    with pytest.raises(UsageError, match="exists"):
        check_output(path)
    check_output(path, force=True)


def test_a_folder_appears_whole(tmp_path):
    with atomic_folder(tmp_path / "out") as aside:
        (aside / "a").write_bytes(b"1")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "a").read_bytes() == b"1"
    assert _names(tmp_path) == ["out"]


def test_a_folder_is_replaced_with_force_only(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    with pytest.raises(UsageError, match="exists"), atomic_folder(tmp_path / "out"):
        pass
    with atomic_folder(tmp_path / "out", force=True) as aside:
        (aside / "new").touch()
    assert _names(tmp_path / "out") == ["new"]
    assert _names(tmp_path) == ["out"]


@pytest.mark.parametrize("call", range(3))
def test_a_folder_survives_a_failure_at_each_renaming(tmp_path, monkeypatch, call):
    """Where the system cannot swap two folders."""
    monkeypatch.setattr(files, "exchange", lambda first, second: False)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    real, calls = os.replace, iter(range(10))

    def failing(source, target):
        if next(calls) == call:
            _full()
        real(source, target)

    monkeypatch.setattr(os, "replace", failing)
    if call == 2:
        monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(StorageError), atomic_folder(tmp_path / "out", force=True) as aside:
        (aside / "new").touch()
    assert _names(tmp_path) == ["out"]
    assert _names(tmp_path / "out") == ["old"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, FileNotFoundError])
def test_an_error_in_the_block_is_passed_on(tmp_path, error):
    with pytest.raises(error), atomic_folder(tmp_path / "out"):
        raise error
    assert _names(tmp_path) == []


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    (tmp_path / "out").write_bytes(b"1")
    with pytest.raises(UsageError, match="not a folder"), atomic_folder(tmp_path / "out", force=True):
        pass
    assert (tmp_path / "out").read_bytes() == b"1"


def test_saving_over_a_model_on_a_full_disk(write, monkeypatch):
    path = write()
    artifact = ModelArtifact.open(path)
    monkeypatch.setattr(os, "replace", _full)
    with pytest.raises(StorageError, match="nothing that existed was changed"):
        artifact.save(path, force=True)
    assert path.read_bytes() == artifact.content


DIES = """import os, signal, sys
from pathlib import Path
from sardonyx.core.files import atomic_folder, temporary_folder, write_atomic
path = Path(sys.argv[2])
def die(*_): print("ready", flush=True); sys.stdin.read()
if sys.argv[1] == "file":
    write_atomic(path, die)
with (atomic_folder(path, force=True) if sys.argv[1] == "folder" else temporary_folder()) as aside:
    (aside / "half").touch()
    die()
"""


@pytest.fixture
def writer(tmp_path):
    """Starts a process that has begun to write, and waits until it is ended."""
    running = []

    def start(kind, output):
        command = [sys.executable, "-c", DIES, kind, str(output)]
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        running.append(subprocess.Popen(command, stdin=-1, stdout=-1, env=environment, text=True))
        assert running[-1].stdout.readline() == "ready\n"
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_writer_left_goes_and_what_a_living_one_writes_stays(tmp_path, writer, kind):
    out, other = tmp_path / "out", tmp_path / "other"
    first, second = writer(kind, out), writer(kind, out)
    write_atomic(other, b"1")
    assert len(_names(tmp_path)) == 3
    first.kill()
    first.wait()
    remove_leftovers(tmp_path, other)
    assert len(_names(tmp_path)) == 3
    remove_leftovers(tmp_path, out)
    assert [name.split(".")[2].split("-")[0] for name in _names(tmp_path)[:-1]] == [str(second.pid)]


def test_a_temporary_folder_of_a_killed_process_goes_with_the_next_one(tmp_path, writer, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    process = writer("temporary", tmp_path)
    with temporary_folder() as folder:
        assert len(_names(tmp_path)) == 2
        assert folder.stat().st_mode & 0o777 == 0o700
    assert len(_names(tmp_path)) == 1
    process.kill()
    process.wait()
    with pytest.raises(IsADirectoryError), temporary_folder() as folder:
        folder.write_bytes(b"1")
    assert _names(tmp_path) == []


def test_a_folder_that_was_moved_away_when_its_process_died_comes_back(tmp_path):
    old = tmp_path / ".out.999999-0123abcd.old"
    old.mkdir()
    (old / "kept").touch()
    remove_leftovers(tmp_path, tmp_path / "out")
    assert _names(tmp_path) == ["out"]
    assert _names(tmp_path / "out") == ["kept"]


@pytest.mark.parametrize(
    "name", [".out.tmp", "out.1-0123abcd.tmp", ".out.1-0123abcg.tmp", ".out.x-0123abcd.tmp"]
)
def test_what_is_not_named_so_is_left_alone(tmp_path, name):
    (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert _names(tmp_path) == [name]


def test_a_link_is_not_followed_when_leftovers_go(tmp_path):
    (tmp_path / "mine").write_bytes(b"1")
    (tmp_path / ".out.1-0123abcd.tmp").symlink_to(tmp_path / "mine")
    remove_leftovers(tmp_path)
    assert (tmp_path / "mine").read_bytes() == b"1"


@pytest.mark.parametrize("code", [0, errno.EPERM, errno.ENOTSUP])
def test_a_new_file_is_written_once(tmp_path, monkeypatch, code):
    """Where the file system has links, and where it has none."""
    if code:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(code, "no links")))
    assert write_new(tmp_path / "a", b"first")
    assert not write_new(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert _names(tmp_path) == ["a"]


def test_a_new_file_on_a_full_disk_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", _full)
    with pytest.raises(OSError, match="No space"):
        write_new(tmp_path / "a", b"1")
    assert _names(tmp_path) == []


def test_whoever_wants_the_same_waits(tmp_path):
    code = "import sys\nfrom pathlib import Path\nfrom sardonyx.core.files import alone_in\n"
    code += "print('asks', flush=True)\nwith alone_in(Path(sys.argv[1])):\n    print('has it', flush=True)"
    with alone_in(tmp_path):
        other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=-1, text=True)
        assert other.stdout.readline() == "asks\n"
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.3)
    assert other.communicate(timeout=30)[0] == "has it\n"


@pytest.mark.parametrize(
    ("before", "after"), [(b"", b""), (b"a", b""), (b"a\n", b"a\n"), (b"a\nb\nc", b"a\nb\n")]
)
def test_a_line_that_was_not_finished_is_cut_off(tmp_path, before, after):
    (tmp_path / "journal").write_bytes(before)
    with alone_appending(tmp_path / "journal"):
        assert (tmp_path / "journal").read_bytes() == after


def test_a_journal_that_is_not_there_cannot_be_held(tmp_path):
    with pytest.raises(FileNotFoundError), alone_appending(tmp_path / "journal"):
        pass
