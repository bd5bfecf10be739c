"""Candidates that were made are found again, with all that they were made from; the work itself is a stand-in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sardonyx.pipeline.documents import plain
from sardonyx.pipeline.monitor import Silent
from sardonyx.pipeline.optimization import Candidate, OptimizeOptions, Plan
from sardonyx.pipeline.optimization.workshop import Workshop

_HEALED = Plan("exact", 3, healed=True)


@dataclass
class Asking:
    """A path that asks for a candidate when it is walked."""

    asks: Callable[[Plan], Candidate | None]
    walked: int = 0

    @property
    def depth(self) -> int:
        self.walked += 1
        self.asks(Plan("skips", 1))
        return 5

    def cut(self, depth: int) -> Any:
        raise AssertionError


@dataclass
class Idle(Workshop):
    """A workshop whose candidates come from nowhere."""

    make: Callable[..., Candidate] = field(kw_only=True)
    worked: list[str] = field(default_factory=list)

    def _work(self, plan: Plan, folder: Path) -> Mapping[str, Any]:
        if plan.earlier is not None:
            assert self.candidate(plan.earlier) is not None
        self.worked.append(plan.name)
        made = self.make(plan)
        kept: dict[str, Any] = plain(made)
        kept = {key: kept[key] for key in ("accuracy", "lost", "sha256", "size_bytes", "params_ratio")}
        return {**kept, "speed": [1.0, 1.0, 1.0]}


def _workshop(folder: Path, make: Callable[..., Candidate]) -> Idle:
    subject: Any = SimpleNamespace(words={"model": "m"}, options=OptimizeOptions(max_drop=0.1))
    ledger: Any = SimpleNamespace(
        is_taken=lambda plan: False, taking_up=lambda plan: nullcontext(), record=lambda candidate: None
    )
    workshop = Idle(subject, {}, folder, ledger, Silent(), make=make)
    workshop.paths = {"exact": Asking(workshop.candidate)}
    return workshop


@pytest.mark.parametrize(
    ("plan", "names"),
    [
        (Plan(), ["uncut-float32"]),
        (Plan("exact", 3, precision="int8"), ["exact-03-float32", "exact-03-int8"]),
        (_HEALED, ["exact-03-float32", "exact-03-healed-float32"]),
        (
            replace(_HEALED, precision="int8", method="mse"),
            ["exact-03-float32", "exact-03-healed-float32", "exact-03-healed-int8-mse"],
        ),
    ],
)
def test_what_a_plan_begins_with_is_found_again_too(
    plan: Plan, names: list[str], tmp_path: Path, make: Callable[..., Candidate]
) -> None:
    first, second = _workshop(tmp_path, make), _workshop(tmp_path, make)
    first.candidate(plan)
    second.candidate(plan)
    assert (first.worked, second.worked) == (names, [])
    assert [c.name for c in first.made] == [c.name for c in second.made] == names


def test_what_a_walk_asked_for_is_found_again_without_a_walk(
    tmp_path: Path, make: Callable[..., Candidate]
) -> None:
    first, second = _workshop(tmp_path, make), _workshop(tmp_path, make)
    assert first.depth("exact") == second.depth("exact") == 5
    assert (first.paths["exact"].walked, second.paths["exact"].walked) == (1, 0)  # type: ignore[attr-defined]
    assert [c.name for c in first.made] == [c.name for c in second.made] == ["skips-01-float32"]
