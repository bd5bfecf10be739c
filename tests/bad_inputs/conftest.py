"""A folder that is watched, commands that must leave it as it was, and the table of what became of each row."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from confined_command import MEMORY_BYTES, Outcome, run_command
from model_text import ADD, parse_model, write_model
from trust_rows import fill_table

Run = Callable[..., Outcome]
Refused = Callable[..., str]
Parse = Callable[..., onnx.ModelProto]
Write = Callable[..., Path]

_outcomes: dict[int, list[str]] = defaultdict(list)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "row(number): a row of the table of bad inputs (tests/trust_rows.py)")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.user_properties += [("row", mark.args[0]) for mark in item.iter_markers("row")]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.outcome != "passed":
        for name, number in report.user_properties:
            if name == "row":
                _outcomes[int(str(number))].append(report.outcome)


def pytest_sessionfinish() -> None:
    """Where a table is asked for, write what became of each row into it."""
    wanted = os.environ.get("TRUST_TABLE")
    if wanted and "PYTEST_XDIST_WORKER" not in os.environ:
        page = Path(wanted)
        page.write_text(fill_table(page.read_text(encoding="utf8"), _outcomes), encoding="utf8")


def seen(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything in a folder: kind and mode, number of names, and content; nothing but plain files is opened."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = os.fsencode(os.readlink(path)) if path.is_symlink() else b""
        if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IRUSR:
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_nlink, content)
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folder where commands run, and which is watched."""
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def parse() -> Parse:
    """Parse a model from text; without text, one Add of an input and a weight."""

    return parse_model


@pytest.fixture
def write(place: Path) -> Write:
    """Write a model, given as text, message or bytes, into the folder, and return its path."""

    return lambda content=ADD, name="m.onnx": write_model(place / name, content)


@pytest.fixture
def samples(place: Path) -> Write:
    """Write samples, an array for each input, and return the path."""

    def write_samples(name: str = "d.npz", **arrays: Any) -> Path:
        np.savez(place / name, **arrays)
        return place / name

    return write_samples


@pytest.fixture
def run(place: Path, tmp_path: Path) -> Iterator[Run]:
    """Run the command line in the folder, in a process of its own under limits of time and memory."""

    def start(*arguments: object, environment: dict[str, str] | None = None, cpu_s: int = 10) -> Outcome:
        variables = {"SARDONYX_CACHE": str(tmp_path / "cache"), **(environment or {})}
        return run_command(arguments, place, tmp_path / "scratch", variables, cpu_s)

    return start


@pytest.fixture
def refused(run: Run, place: Path) -> Refused:
    """Check that a command is refused as bad input is: its exit code, one line of cause, one of remedy.

    Nothing else may be printed but remarks ahead of them, nothing in the folder may appear, go or change, and it
    stays within the limits. Returns both lines.
    """

    def check(*arguments: object, code: int = 3, says: str = "", **more: Any) -> str:
        before = seen(place)
        outcome = run(*arguments, **more)
        lines = outcome.err.splitlines()
        assert (outcome.code, outcome.out) == (code, ""), outcome
        assert [line.partition(" ")[0] for line in lines[-2:]] == ["error:", "hint:"], outcome.err
        assert not any(line.startswith(("error:", "hint:", "Traceback")) for line in lines[:-2]), outcome.err
        assert all(line.isprintable() for line in lines)
        assert len(lines[-2]) < 1200
        assert says in "\n".join(lines[-2:])
        assert outcome.peak_bytes < MEMORY_BYTES
        assert seen(place) == before
        return "\n".join(lines[-2:])

    return check


@pytest.fixture
def accepted(run: Run) -> Run:
    """Check that a command ends well, without a word of error; returns what it left."""

    def check(*arguments: object, **more: Any) -> Outcome:
        outcome = run(*arguments, **more)
        assert outcome.code == 0, outcome.err
        assert "error:" not in outcome.err
        assert outcome.peak_bytes < MEMORY_BYTES
        return outcome

    return check
