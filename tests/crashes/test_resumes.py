"""Commands that go on where a SIGKILL ended them come to the models that they come to undisturbed."""

from __future__ import annotations

import pytest
from crash_injection import FaultKind, spread
from crash_resumes import RESUMES, judge_failures, judge_states, rehearsed


@pytest.mark.parametrize(("name", "count"), [("run", 1), ("heal", 1)])
def test_from_some_states(name: str, count: int) -> None:
    assert judge_states(rehearsed(name), spread(rehearsed(name).states, count)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", RESUMES)
def test_from_every_state(name: str) -> None:
    assert judge_states(rehearsed(name)) == {}


@pytest.mark.parametrize("kind", ["full", "hiccup"])
@pytest.mark.parametrize("name", ["run", "heal"])
def test_after_some_failures(name: str, kind: FaultKind) -> None:
    rehearsal = rehearsed(name)
    assert judge_failures(rehearsal, kind, spread(range(len(rehearsal.whole.steps)), 3)[1:-1]) == {}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "hiccup"])
@pytest.mark.parametrize("name", RESUMES)
def test_after_every_failure(name: str, kind: FaultKind) -> None:
    """Of the longest commands a tenth of the steps."""
    rehearsal = rehearsed(name)
    steps = range(0, len(rehearsal.whole.steps), 10 if len(rehearsal.whole.steps) > 300 else 1)
    assert judge_failures(rehearsal, kind, steps) == {}


@pytest.mark.parametrize("share", [0.3, pytest.param(0.7, marks=pytest.mark.slow)])
def test_a_kill_leaves_what_was_taken_for_it(share: float) -> None:
    """The real thing, which the states stand for."""
    rehearsal = rehearsed("run")
    assert rehearsal.killed_at(round(share * len(rehearsal.whole.steps))) == ""


def test_another_model_would_be_found() -> None:
    rehearsal = rehearsed("heal")
    wanted, rehearsal.models = rehearsal.models, {"out/h.onnx": ""}
    try:
        with pytest.raises(AssertionError, match=r"other models|neither old nor new"):
            assert rehearsal.from_state(rehearsal.states[-1]) == ""
    finally:
        rehearsal.models = wanted
