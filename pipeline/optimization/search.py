"""Which plans a search tries, and in which order: from what is cheap to know to what is not.

First the whole model in other precisions. Then every path of cuts: the deepest round inside the budget is found by
halving, in float and in integers, as what is lost grows with the depth. Where time is given and left, deeper rounds are
healed, and then a sampler proposes what the trials so far speak for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ...core.targets import Target
from ..monitor import Monitor
from .candidates import UNCUT, Candidate, Plan, Precision
from .ledger import Ledger
from .options import OptimizeOptions
from .workshop import Workshop

FASTEST: Precision = "int8-fastest"

_CLEARLY_FASTER = 1.5
"""Where the whole model gains so much from integers, no float cut is as fast within the same budget."""

_NEARLY = 1.5
"""What loses no more than so many times the budget may lose less with some nodes in float."""

_REPEATS = 12
"""Proposals in a row that were known already, after which the sampler has nothing more to say."""


def precisions_of(target: Target) -> tuple[Precision, ...]:
    """How a model for a target may compute; which nodes are faster in integers is measured on a CPU only."""
    return ("float32", "int8", FASTEST) if target.is_cpu else ("float32", "float16", "int8")


@dataclass
class Search:
    """One search.

    Attributes:
        workshop: Makes candidates.
        ledger: What was tried.
        options: The budget.
        target: What the model is made for.
        monitor: Is told how it goes on.
        clock: Seconds, rising.
        deadline: When the time is up, by the clock; None for never.
    """

    workshop: Workshop
    ledger: Ledger
    options: OptimizeOptions
    target: Target
    monitor: Monitor
    clock: Callable[[], float]
    deadline: float | None = None

    def run(self, *, can_heal: bool) -> bool:
        """Try what there is to try; whether there was time for the whole of the first look."""
        first = self._precisions()
        for path in self._paths():
            for precision in first:
                deepest = self._deepest(Plan(path, 0, precision=precision))
                if deepest is not None and precision == "int8" and self.target.is_cpu:
                    self._fastest(deepest.plan)
        complete = not self._is_late()
        if self.deadline is not None:
            if can_heal:
                self._heal()
            self._sample(can_heal=can_heal)
        return complete

    def _precisions(self) -> list[Precision]:
        """Which precisions are worth cutting for: what the whole model gains from, and float where that is not clear."""
        found = {name: self._try(Plan(precision=name)) for name in precisions_of(self.target)}
        faster: list[Precision] = [
            name for name, c in found.items() if c and name not in {"float32", FASTEST}
        ]
        clearly = max(
            (c.speed_low_ratio for c in found.values() if c and c.plan.precision in faster), default=0.0
        )
        return faster if clearly > _CLEARLY_FASTER else ["float32", *faster]

    def _fastest(self, deepest: Plan) -> None:
        """Leave in float what is faster so; in a round too deep as well, which may lose less that way."""
        self._try(replace(deepest, precision=FASTEST))
        if deepest.depth < self.workshop.depth(deepest.path):
            beyond = self._try(replace(deepest, depth=deepest.depth + 1))
            if beyond is not None and beyond.holds(_NEARLY * self.options.max_drop):
                self._try(replace(beyond.plan, precision=FASTEST))

    def _paths(self) -> list[str]:
        """The paths, those first that nobody is at work on."""
        names = list(self.workshop.paths)
        middle = {name: Plan(name, 1) for name in names}
        return sorted(names, key=lambda name: self.ledger.is_taken(middle[name]))

    def _deepest(self, plan: Plan, *, above: int = 0) -> Candidate | None:
        """The deepest cut of a path that is inside the budget, found by halving between ``above`` and the end."""
        low, high = above, self.workshop.depth(plan.path) + 1
        best: Candidate | None = None
        while high - low > 1 and not self._is_late():
            middle = (low + high) // 2
            candidate = self._try(replace(plan, depth=middle))
            if candidate is not None and self._holds(candidate):
                best, low = candidate, middle
            else:
                high = middle
        return best

    def _heal(self) -> None:
        """Go deeper than the budget allows without training, and train."""
        for path in self.workshop.paths:
            inside = [
                c.plan.depth
                for c in self.workshop.made
                if c.plan.path == path and c.plan.precision == "float32" and self._holds(c)
            ]
            healed = self._deepest(Plan(path, 0, healed=True), above=max(inside, default=0))
            if healed is None:
                continue
            # Integers cost a little on top: a round less may hold where this one does not.
            for depth in range(healed.plan.depth, max(inside, default=0), -1):
                integer = self._try(replace(healed.plan, depth=depth, precision="int8"))
                if integer is not None and self._holds(integer):
                    if self.target.is_cpu:
                        self._try(replace(integer.plan, precision=FASTEST))
                    break

    def _sample(self, *, can_heal: bool) -> None:
        """Carry out what the sampler proposes until the time is up or it repeats itself."""
        repeats = 0
        while not self._is_late() and repeats < _REPEATS:
            plan = self._sensible(self.ledger.propose())
            known = plan in self.workshop.refused or any(c.plan == plan for c in self.workshop.made)
            if known or (plan.healed and not can_heal):
                repeats += 1
                continue
            repeats = 0
            self._try(plan)

    def _sensible(self, plan: Plan) -> Plan:
        """The plan without what has no meaning in it."""
        depth = 0 if plan.path == UNCUT else min(plan.depth, self.workshop.depth(plan.path))
        plan = replace(plan, depth=depth)
        if depth == 0:
            plan = replace(plan, path=UNCUT, healed=False)
        return plan if plan.precision.startswith("int8") else replace(plan, method="default")

    def _try(self, plan: Plan) -> Candidate | None:
        return None if self._is_late() else self.workshop.candidate(plan)

    def _holds(self, candidate: Candidate) -> bool:
        return candidate.holds(self.options.max_drop)

    def _is_late(self) -> bool:
        return self.deadline is not None and self.clock() >= self.deadline
