"""A disk that is full from a step on, and one that fails once: at some steps of every writing command, or at each."""

from __future__ import annotations

from pathlib import Path

import pytest
from crash_commands import COMMANDS, judge, judge_all, staged
from crash_injection import ALLOCATING, Fault, FaultKind, spread

QUICK = ("data", "a large model", "a folder")
KINDS: tuple[FaultKind, ...] = ("full", "hiccup")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", QUICK)
def test_some_steps(name: str, kind: FaultKind, tmp_path: Path) -> None:
    stage = staged(name)
    assert judge_all(stage, kind, tmp_path, spread(range(len(stage.whole.steps)), 3)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", COMMANDS)
def test_every_step(name: str, kind: FaultKind, tmp_path: Path) -> None:
    assert judge_all(staged(name), kind, tmp_path) == {}


def test_a_command_that_passed_for_done_would_be_found(tmp_path: Path) -> None:
    """The judge itself: a folder that is taken for the new one, and is not."""
    stage = staged("a folder")
    at = next(at for at, step in enumerate(stage.whole.steps) if step.kind in ALLOCATING)
    wanted, stage.old = stage.old, {"out/filled": {}}
    try:
        with pytest.raises(AssertionError, match="out/filled is neither"):
            assert judge(stage, Fault("full", at), tmp_path / "judged") == ""
    finally:
        stage.old = wanted
