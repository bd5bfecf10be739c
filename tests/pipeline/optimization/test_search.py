"""Which plans are tried, on a model whose losses are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest
import sardonyx as sx
from sardonyx.pipeline.monitor import Silent
from sardonyx.pipeline.optimization import Candidate, OptimizeOptions, Plan
from sardonyx.pipeline.optimization.search import Search

_DEPTH = 20
_INTEGERS = 0.004
"""What integers lose on top."""


@dataclass
class Path:
    """A path of a known length."""

    depth: int = _DEPTH


@dataclass
class Workshop:
    """Candidates lose more with every round, and less when they are healed."""

    make: Callable[..., Candidate]
    per_round: float = 0.001
    integers: float = 1.0
    paths: dict[str, Path] = field(default_factory=lambda: {"exact": Path()})
    refused: dict[Plan, str] = field(default_factory=dict)
    made: list[Candidate] = field(default_factory=list)

    def depth(self, path: str) -> int:
        return self.paths[path].depth

    def candidate(self, plan: Plan) -> Candidate | None:
        if plan in self.refused:
            return None
        known = next((c for c in self.made if c.plan == plan), None)
        if known is None:
            lost = plan.depth * self.per_round * (0.5 if plan.healed else 1.0)
            lost += _INTEGERS if plan.precision.startswith("int8") else 0.0
            speed = (1.0 + plan.depth) * (self.integers if plan.precision.startswith("int8") else 1.0)
            known = self.make(plan, speed, lost)
            self.made.append(known)
        return known


@dataclass
class Ledger:
    """Proposes what it is given, and then the same for ever."""

    proposals: list[Plan] = field(default_factory=lambda: [Plan()])

    def is_taken(self, plan: Plan) -> bool:
        return plan.path == "busy"

    def propose(self) -> Plan:
        return self.proposals.pop(0) if len(self.proposals) > 1 else self.proposals[0]


def search(workshop: Workshop, ledger: Ledger | None = None, **words: Any) -> Search:
    clock: Iterator[int] = count()
    options = OptimizeOptions(max_drop=0.01, seconds=words.get("seconds"))
    return Search(
        workshop,  # type: ignore[arg-type]
        ledger or Ledger(),  # type: ignore[arg-type]
        options,
        sx.get_target("cpu-x86"),
        Silent(),
        lambda: float(next(clock)),
        words.get("seconds"),
    )


@pytest.mark.parametrize(("per_round", "deepest"), [(0.001, 10), (0.0035, 2), (0.0001, 20), (0.02, 0)])
def test_the_deepest_round_inside_the_budget_is_found(
    make: Callable[..., Candidate], per_round: float, deepest: int
) -> None:
    workshop = Workshop(make, per_round)
    assert search(workshop).run(can_heal=True)
    floats = [c for c in workshop.made if c.plan.precision == "float32" and c.holds(0.01)]
    assert max(c.plan.depth for c in floats) == deepest
    assert len(floats) <= 7  # halving, not a walk
    assert not any(c.plan.healed for c in workshop.made)  # no time was given


def test_integers_have_a_deepest_round_of_their_own(make: Callable[..., Candidate]) -> None:
    workshop = Workshop(make)
    search(workshop).run(can_heal=False)
    inside = [c.plan for c in workshop.made if c.plan.precision == "int8" and c.holds(0.01)]
    assert max(plan.depth for plan in inside) == 6
    assert Plan("exact", 6, precision="int8-fastest") in [c.plan for c in workshop.made]


def test_where_integers_are_clearly_faster_no_float_cut_is_looked_for(make: Callable[..., Candidate]) -> None:
    workshop = Workshop(make, integers=2.0)
    search(workshop).run(can_heal=False)
    cuts = [c.plan for c in workshop.made if c.plan.depth]
    assert {plan.precision for plan in cuts} == {"int8", "int8-fastest"}


@pytest.mark.parametrize(("per_round", "deepest"), [(0.001, 7), (0.006, 1)])
def test_one_round_beyond_is_tried_in_float_where_it_is_faster(
    make: Callable[..., Candidate], per_round: float, deepest: int
) -> None:
    workshop = Workshop(make, per_round)
    search(workshop).run(can_heal=False)
    tried = [c.plan.depth for c in workshop.made if c.plan.precision == "int8-fastest"]
    # A round that loses half as much again as is allowed, or more, is not worth it.
    assert max(tried) == deepest


def test_where_integers_are_impossible_only_float_is_cut(make: Callable[..., Candidate]) -> None:
    workshop = Workshop(
        make, refused={Plan(precision="int8"): "nothing", Plan(precision="int8-fastest"): "no"}
    )
    search(workshop).run(can_heal=False)
    assert {c.plan.precision for c in workshop.made} == {"float32"}


def test_time_that_is_left_is_spent_on_healing_and_on_proposals(make: Callable[..., Candidate]) -> None:
    workshop, wish = Workshop(make), Plan("exact", 9, precision="int8", method="mse")
    nonsense = Plan("uncut", 5, healed=True, precision="float32", method="mse")
    assert search(workshop, Ledger([wish, nonsense, Plan()]), seconds=1e6).run(can_heal=True)
    plans = [c.plan for c in workshop.made]
    healed = [c for c in workshop.made if c.plan.healed and c.holds(0.01)]
    assert max(c.plan.depth for c in healed if c.plan.precision == "float32") == 20
    assert max(c.plan.depth for c in healed if c.plan.precision == "int8") == 12
    assert wish in plans
    assert nonsense not in plans


def test_without_torch_nothing_is_healed(make: Callable[..., Candidate]) -> None:
    workshop = Workshop(make)
    wish = replace(Plan("exact", 15), healed=True)
    search(workshop, Ledger([wish, Plan()]), seconds=1e6).run(can_heal=False)
    assert not any(c.plan.healed for c in workshop.made)


def test_the_time_that_is_up_ends_it_and_that_is_said(make: Callable[..., Candidate]) -> None:
    workshop = Workshop(make)
    assert not search(workshop, seconds=4.0).run(can_heal=True)
    assert 1 <= len(workshop.made) <= 4


def test_a_path_that_somebody_walks_comes_last(make: Callable[..., Candidate]) -> None:
    workshop = Workshop(make, paths={"busy": Path(), "free": Path()})
    search(workshop).run(can_heal=False)
    order = [c.plan.path for c in workshop.made if c.plan.depth]
    assert order.index("free") < order.index("busy")


def test_a_search_without_a_budget_is_refused() -> None:
    with pytest.raises(TypeError, match="max_drop"):
        OptimizeOptions()  # type: ignore[call-arg]


def test_a_budget_below_zero_is_refused() -> None:
    with pytest.raises(sx.UsageError, match="max_drop"):
        OptimizeOptions(max_drop=-1.0)
