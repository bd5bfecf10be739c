"""How much is pruned by when: pure functions of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...core.errors import UsageError

_DIGITS = 9
"""Decimals that count where a share of steps becomes a step: 0.1 of 30 is the third, whatever a float makes of it."""


@dataclass(frozen=True)
class CubicSchedule:
    """Fast at first, while much is redundant, and slower towards the end (Zhu & Gupta 2017, arXiv:1710.01878, eq. 1).

    Attributes:
        final: What is gone at the end, as a share.
        start: When it begins, as a share of the steps.
        end: When the final share is reached, as a share of the steps; the rest heals.
        frequency: Steps between two changes.
        initial: What is gone at the beginning.
    """

    final: float
    start: float = 0.0
    end: float = 0.75
    frequency: int = 10
    initial: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.initial <= self.final < 1:
            raise UsageError(
                f"from {self.initial} to {self.final} is to be pruned",
                remedy="give shares that rise, from 0 to below 1",
            )
        if not 0 <= self.start < self.end <= 1:
            raise UsageError(
                f"pruning from {self.start} to {self.end} of the training",
                remedy="give a start below the end, both from 0 to 1",
            )
        if self.frequency < 1:
            raise UsageError(f"frequency {self.frequency}", remedy="give at least 1 step")

    def share(self, done: int, total: int) -> float:
        """The share that is to be gone after some steps.

        Args:
            done: Steps taken so far.
            total: Steps in all.
        """
        first, last = self._bounds(total)
        passed = min(max((done - first) / (last - first), 0.0), 1.0)
        return self.final + (self.initial - self.final) * (1 - passed) ** 3

    def is_due(self, done: int, total: int) -> bool:
        """Whether the share changes now."""
        first, last = self._bounds(total)
        return first <= done <= last and (done == last or (done - first) % self.frequency == 0)

    def first_epoch(self, epochs: int) -> int:
        """The first epoch that ends with the final share: the first whose weights are worth keeping."""
        return max(1, math.ceil(round(self.end * epochs, _DIGITS)))

    def _bounds(self, total: int) -> tuple[int, int]:
        first = math.floor(round(self.start * total, _DIGITS))
        return first, max(math.ceil(round(self.end * total, _DIGITS)), first + 1)
