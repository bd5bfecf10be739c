"""The user's own files are run, find what lies beside them, and get no neighbours."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from sardonyx.core.user_code import import_by_name, run_file


@pytest.fixture(autouse=True)
def writing_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "path", list(sys.path))


def write(folder: Path, suffix: str = ".py", end: str = "") -> Path:
    (folder / "beside_it.py").write_text("WIDTH = 8\n")
    file = folder / f"mine{suffix}"
    file.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nimport beside_it\n"
        f"@dataclass\nclass Size:\n    width: int = beside_it.WIDTH\n{end}\n"
    )
    return file


def test_a_file_finds_what_lies_beside_it_and_nothing_new_lies_there(tmp_path: Path) -> None:
    module, path = run_file(write(tmp_path), "test"), list(sys.path)
    assert module is not None
    assert module.Size().width == 8
    assert {p.name for p in tmp_path.iterdir()} == {"mine.py", "beside_it.py"}
    assert (sys.path, sys.dont_write_bytecode) == (path, False)


@pytest.mark.parametrize("end", ["raise OSError('gone')", "raise SystemExit(3)", "raise KeyboardInterrupt"])
def test_what_it_raises_comes_out_and_no_half_of_a_module_stays(tmp_path: Path, end: str) -> None:
    known, path = set(sys.modules) | {"beside_it"}, list(sys.path)
    with pytest.raises((OSError, SystemExit, KeyboardInterrupt)):
        run_file(write(tmp_path, end=end), "test")
    assert set(sys.modules) <= known
    assert {p.name for p in tmp_path.iterdir()} == {"mine.py", "beside_it.py"}
    assert (sys.path, sys.dont_write_bytecode) == (path, False)


def test_a_file_of_another_kind_is_not_run(tmp_path: Path) -> None:
    assert run_file(write(tmp_path, suffix=".txt", end="raise OSError"), "test") is None


def test_a_module_is_looked_up_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "named_by_a_test.py").write_text("HERE = __file__\n")
    assert Path(import_by_name("named_by_a_test").HERE).parent == tmp_path
    assert not (tmp_path / "__pycache__").exists()
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        import_by_name("no_such_module")
