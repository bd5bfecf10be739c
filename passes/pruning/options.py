"""What to prune, by how much, and how."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ...core.errors import UsageError

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

WITHOUT_SAMPLES = frozenset({"magnitude", "l1", "random"})
"""Criteria that look at weights only."""


@dataclass(frozen=True)
class PruneOptions:
    """How a graph is pruned.

    Exactly one of ``params``, ``macs`` and ``ratio`` says how much.

    Attributes:
        params: Share of the parameters that stays, in (0, 1].
        macs: Share of the multiply-accumulates that stays, in (0, 1].
        ratio: Share of the neurons cut from each group (weights, for the other granularities), in [0, 1).
        criterion: What decides which neurons go: one of :data:`CRITERIA`, or a function from a
            :class:`~sardonyx.passes.pruning.NeuronView` to scores.
        scope: ``global`` lets groups compete, ``local`` cuts every group alike.
        align: Widths are kept at multiples of this; ``auto`` takes the target's.
        granularity: ``structured`` cuts neurons; ``unstructured`` zeroes weights; ``n:m`` (as ``2:4``) keeps n of
            every m weights.
        compensate: Whether consumers are repaired in closed form.
        exclude: Globs over names of layers (their nodes or initializers) whose neurons are left alone.
        approximate: Whether neurons may go over which a LayerNormalization or a mean runs.
        min_width: Fewest neurons that a group keeps.
        steps: Rounds of collecting, cutting and repairing.
        seed: Seed of every random choice.
    """

    params: float | None = None
    macs: float | None = None
    ratio: float | None = None
    criterion: str | Callable[[Any], Any] = "second-order"
    scope: Literal["global", "local"] = "global"
    align: int | Literal["auto"] = "auto"
    granularity: str = "structured"
    compensate: bool = True
    exclude: tuple[str, ...] = ()
    approximate: bool = False
    min_width: int = 1
    steps: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        budgets = {"params": self.params, "macs": self.macs, "ratio": self.ratio}
        given = {name: value for name, value in budgets.items() if value is not None}
        if len(given) != 1:
            named = ", ".join(given) or "none"
            raise UsageError(
                f"one budget is needed, got {named}", remedy="give one of --params, --macs, --ratio"
            )
        name, value = next(iter(given.items()))
        if not math.isfinite(value) or not (0 <= value < 1 if name == "ratio" else 0 < value <= 1):
            span = "[0, 1)" if name == "ratio" else "(0, 1]"
            raise UsageError(f"{name} {value} is outside {span}", remedy="give a share, as 0.5")
        if not callable(self.criterion) and self.criterion not in CRITERIA:
            raise UsageError(
                f"unknown criterion {self.criterion!r}", remedy=f"choose one of {', '.join(CRITERIA)}"
            )
        if self.min_width < 1 or self.steps < 1 or (self.align != "auto" and self.align < 1):
            raise UsageError("min_width, steps and align count from 1", remedy="give positive numbers")
        if self.granularity not in {"structured", "unstructured"} and self.pattern is None:
            raise UsageError(
                f"unknown granularity {self.granularity!r}",
                remedy="choose structured, unstructured or n:m, as 2:4",
            )
        if self.pattern is None and self.granularity != "structured" and self.macs is not None:
            raise UsageError("zeros save no multiply-accumulates here", remedy="give --params or --ratio")

    @property
    def criterion_name(self) -> str:
        """The criterion's name; a function's own."""
        return (
            self.criterion if isinstance(self.criterion, str) else getattr(self.criterion, "__name__", "own")
        )

    @property
    def pattern(self) -> tuple[int, int] | None:
        """``(n, m)`` of an n:m granularity, or None."""
        match = re.fullmatch(r"(\d+):(\d+)", self.granularity)
        if match is None:
            return None
        n, m = int(match[1]), int(match[2])
        return (n, m) if 0 < n < m else None
