"""SIGKILL, loss of power and signals: at some steps of every writing command, or at each."""

from __future__ import annotations

from pathlib import Path

import pytest
from crash_commands import COMMANDS, judge, judge_all, staged
from crash_injection import Fault, FaultKind, spread

QUICK = ("data", "a large model", "a folder")
KINDS: tuple[FaultKind, ...] = ("kill", "power", "interrupt", "terminate")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", QUICK)
def test_some_steps(name: str, kind: FaultKind, tmp_path: Path) -> None:
    stage = staged(name)
    count = 4 if name.startswith("a ") else 2
    assert judge_all(stage, kind, tmp_path, spread(range(len(stage.whole.steps)), count + 1)[1:]) == {}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", COMMANDS)
def test_every_step(name: str, kind: FaultKind, tmp_path: Path) -> None:
    assert judge_all(staged(name), kind, tmp_path) == {}


@pytest.mark.parametrize("kind", ["interrupt", "terminate"])
@pytest.mark.parametrize("name", ["a large model", "a folder"])
def test_a_signal_that_comes_again_and_again(name: str, kind: FaultKind, tmp_path: Path) -> None:
    stage = staged(name)
    for at in spread(range(len(stage.whole.steps)), 4):
        assert judge(stage, Fault(kind, at, again=True), tmp_path / str(at)) == ""


def test_a_command_that_was_not_killed_would_be_found(tmp_path: Path) -> None:
    stage = staged("a folder")
    with pytest.raises(AssertionError, match="it was not killed: 0"):
        assert judge(stage, Fault("kill", len(stage.whole.steps)), tmp_path / "judged") == ""
