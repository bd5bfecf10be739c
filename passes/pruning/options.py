"""What to prune, by how much, and how."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ...core.errors import UsageError
from .plan import PrunePlan
from .sparsity import Pattern

CRITERIA = (
    "second-order",
    "output",
    "magnitude",
    "l1",
    "activation",
    "apoz",
    "variance",
    "wanda",
    "similarity",
    "random",
)
"""Names of the criteria."""

BUDGETS = ("params", "macs", "bytes", "time")
"""What a budget may be in."""

SUPPORTED_ERROR = 0.25
"""A cut whose outputs on held-out samples lose a quarter of their variance is not supported by them."""

WITHOUT_SAMPLES = frozenset({"magnitude", "l1", "random"})
"""Criteria that look at weights only."""


@dataclass(frozen=True)
class PruneOptions:
    """How a graph is pruned.

    Exactly one of ``params``, ``macs``, ``bytes``, ``time``, ``ratio`` and ``plan`` says how much.

    Attributes:
        params: Share of the parameters that stays, in (0, 1].
        macs: Share of the multiply-accumulates that stays, in (0, 1].
        bytes: Share of the stored bytes that stays, in (0, 1].
        time: Share of the time that stays, in (0, 1], as a :class:`~sardonyx.passes.pruning.TimeTable` predicts it.
        plan: A plan that was made before: exactly its neurons go.
        ratio: Share of the neurons cut from each group (weights, for the other granularities), in [0, 1).
        criterion: What decides which neurons go: one of :data:`CRITERIA`, or a function from a
            :class:`~sardonyx.passes.pruning.NeuronView` to scores.
        scope: ``global`` lets groups compete, ``local`` cuts every group alike, ``isomorphic`` lets groups of one
            kind compete and cuts every kind alike.
        align: Widths are kept at multiples of this; ``auto`` takes the target's.
        granularity: ``structured`` cuts neurons; ``unstructured`` zeroes weights; ``n:m`` (as ``2:4``) keeps n of
            every m inputs; ``block:RxC`` zeroes tiles of R outputs and C inputs.
        compensate: Whether consumers are repaired in closed form.
        exclude: Globs over names of layers (their nodes or initializers) whose neurons are left alone.
        approximate: Whether neurons may go over which a LayerNormalization or a mean runs.
        min_width: Fewest neurons that a group keeps.
        steps: Rounds of collecting, cutting and repairing.
        max_error: Cutting stops before the outputs on held-out samples differ by more than this from the original's,
            as a share of their variance. None is :data:`SUPPORTED_ERROR` for the criterion ``output``, and no bound
            for the others.
        seed: Seed of every random choice.
    """

    params: float | None = None
    macs: float | None = None
    bytes: float | None = None
    time: float | None = None
    ratio: float | None = None
    plan: PrunePlan | None = None
    criterion: str | Callable[[Any], Any] = "second-order"
    scope: Literal["global", "local", "isomorphic"] = "global"
    align: int | Literal["auto"] = "auto"
    granularity: str = "structured"
    compensate: bool = True
    exclude: tuple[str, ...] = ()
    approximate: bool = False
    min_width: int = 1
    steps: int = 6
    max_error: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        budgets = {name: getattr(self, name) for name in (*BUDGETS, "ratio", "plan")}
        given = {name: value for name, value in budgets.items() if value is not None}
        if len(given) != 1:
            named = ", ".join(given) or "none"
            raise UsageError(
                f"one budget is needed, got {named}",
                remedy="give one of --params, --macs, --bytes, --latency, --ratio, --plan",
            )
        name, value = next(iter(given.items()))
        if name != "plan" and not _is_share(name, value):
            span = "[0, 1)" if name == "ratio" else "(0, 1]"
            raise UsageError(f"{name} {value} is outside {span}", remedy="give a share, as 0.5")
        if not callable(self.criterion) and self.criterion not in CRITERIA:
            raise UsageError(
                f"unknown criterion {self.criterion!r}", remedy=f"choose one of {', '.join(CRITERIA)}"
            )
        if self.min_width < 1 or self.steps < 1 or (self.align != "auto" and self.align < 1):
            raise UsageError("min_width, steps and align count from 1", remedy="give positive numbers")
        if self.max_error is not None and not 0 < self.max_error < math.inf:
            raise UsageError(f"max_error {self.max_error} is not above 0", remedy="give a share, as 0.1")
        if self.granularity != "structured" and Pattern.parse(self.granularity) is None:
            raise UsageError(
                f"unknown granularity {self.granularity!r}",
                remedy="choose structured, unstructured, n:m as 2:4, or block:RxC as block:4x1",
            )
        if self.granularity != "structured" and self.params is None and self.ratio is None:
            raise UsageError(f"zeros have no budget in {name}", remedy="give --params or --ratio")

    @property
    def error_bound(self) -> float | None:
        """How far the outputs on held-out samples may go; None for as far as it takes."""
        if self.max_error is None and self.criterion == "output":
            return SUPPORTED_ERROR
        return self.max_error

    @property
    def budget(self) -> tuple[str, float] | None:
        """What is to be held and the share that stays; None where groups are cut by a ratio or a plan."""
        return next(((n, v) for n in BUDGETS if (v := getattr(self, n)) is not None), None)

    @property
    def criterion_name(self) -> str:
        """The criterion's name; a function's own."""
        return (
            self.criterion if isinstance(self.criterion, str) else getattr(self.criterion, "__name__", "own")
        )


def _is_share(name: str, value: float) -> bool:
    return math.isfinite(value) and (0 <= value < 1 if name == "ratio" else 0 < value <= 1)
