from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest
from sardonyx.core import ModelArtifact, StorageError, UsageError
from sardonyx.core.files import atomic_folder, check_output, write_atomic

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
