"""Where a pruning stands between two rounds: a model that could be the last, and what it would report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from .report import PruneReport


@dataclass(frozen=True)
class Waypoint:
    """The graph after a round on the way to a deeper cut.

    A path of rounds costs what its deepest cut costs, and every round of it is a cut of its own: whoever looks for the
    deepest one that something holds for need not begin again for each.

    Attributes:
        number: Which round, from 1.
        left: Share of the budget's unit that is left.
        model: A copy of the graph as the next round will find it: repaired round by round, and not fitted to the
            original's outputs before ``finish`` is called.
        finish: Fits every layer of ``model`` to the original's outputs, in place, and gives it with its report; to be
            called once, whenever.
    """

    number: int
    left: float
    model: ir.Model
    finish: Callable[[], tuple[ir.Model, PruneReport]]


Visit = Callable[[Waypoint], None]
"""Is shown a waypoint; what it raises ends the pruning."""
