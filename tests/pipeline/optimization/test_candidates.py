"""Names, budgets and the front."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sardonyx as sx
from sardonyx.pipeline.optimization import Candidate, OptimizeOptions, Plan, pareto_front


@pytest.mark.parametrize(
    ("plan", "name"),
    [
        (Plan(), "uncut-float32"),
        (Plan("exact", 7, precision="int8"), "exact-07-int8"),
        (Plan("exact", 12, healed=True, precision="int8", method="mse"), "exact-12-healed-int8-mse"),
    ],
)
def test_a_plan_has_a_name(plan: Plan, name: str) -> None:
    assert plan.name == name


@pytest.mark.parametrize(
    ("lost", "size", "max_bytes", "held"),
    [
        (0.01, 1000, None, True),
        (0.0101, 1000, None, False),
        (-0.2, 1000, 1000, True),
        (0.0, 1001, 1000, False),
    ],
)
def test_a_budget_holds_up_to_its_end(
    make: Callable[..., Candidate], lost: float, size: int, max_bytes: int | None, held: bool
) -> None:
    assert make(Plan(), lost=lost, size_bytes=size).holds(0.01, max_bytes) is held


def test_the_front_holds_what_nothing_beats(make: Callable[..., Candidate]) -> None:
    points = [(1.0, 0.0), (3.0, 0.01), (2.0, 0.01), (2.5, 0.005), (4.0, 0.2), (0.9, 0.3)]
    front = pareto_front([make(Plan("exact", i), *point) for i, point in enumerate(points)])
    assert [(c.speed_ratio, c.lost) for c in front] == [(4.0, 0.2), (3.0, 0.01), (2.5, 0.005), (1.0, 0.0)]


@pytest.mark.parametrize(
    "words",
    [
        {"max_drop": -0.1},
        {"max_drop": float("nan")},
        {"max_drop": 0.01, "min_speedup": 0.0},
        {"max_drop": 0.01, "max_bytes": 0},
        {"max_drop": 0.01, "seconds": 0.0},
        {"max_drop": 0.01, "batch": 0},
    ],
)
def test_what_cannot_be_asked_is_refused(words: dict[str, float]) -> None:
    with pytest.raises(sx.UsageError):
        OptimizeOptions(**words)  # type: ignore[arg-type]
