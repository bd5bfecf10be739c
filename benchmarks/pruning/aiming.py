"""Aiming at a share of the parameters, for the workers of the peers.

A peer takes a share of channels to cut; what is asked for is a share of parameters to keep. Only Python is needed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

Result = TypeVar("Result")

_GRID = tuple(0.95 * step / 8 for step in range(1, 9))
"""Shares of channels tried first: what stays need not fall with them, where a peer spares groups it would empty."""

_HALVINGS = 4


@dataclass(frozen=True)
class Trial(Generic[Result]):
    """One call of a peer.

    Attributes:
        result: What it gave.
        kept: The share of the parameters that stays.
        seconds: How long it took.
    """

    result: Result
    kept: float
    seconds: float


class Aim(Generic[Result]):
    """Finds the share of channels whose cut leaves the share of parameters that is wanted.

    Args:
        cut: From a share of channels to a result and the share of the parameters that it keeps.
    """

    def __init__(self, cut: Callable[[float], tuple[Result, float]]) -> None:
        self._cut = cut
        self._trials: dict[float, Trial[Result]] = {}
        self._errors: dict[float, Exception] = {}

    def closest(self, share: float) -> Trial[Result]:
        """The trial that comes nearest to a share: a grid, then halvings where it is crossed first.

        Raises:
            Exception: What the peer threw, where every call failed.
        """
        for ratio in _GRID:
            self._try(ratio)
        if not self._trials:
            raise next(iter(self._errors.values()))
        known = [(0.0, 1.0), *sorted((ratio, trial.kept) for ratio, trial in self._trials.items())]
        crossed = [(a, b) for (a, x), (b, y) in pairwise(known) if x > share >= y]
        low, high = crossed[0] if crossed else (0.0, 0.0)
        for _ in range(_HALVINGS if crossed else 0):
            middle = (low + high) / 2
            trial = self._try(middle)
            low, high = (middle, high) if trial is not None and trial.kept > share else (low, middle)
        return min(self._trials.values(), key=lambda trial: abs(trial.kept - share))

    def _try(self, ratio: float) -> Trial[Result] | None:
        """Cut once for every ratio; a ratio at which the peer fails leaves the others their chance."""
        if ratio not in self._trials and ratio not in self._errors:
            start = time.monotonic()
            try:
                result, kept = self._cut(ratio)
            except Exception as error:  # noqa: BLE001 - whatever a peer throws is an outcome
                self._errors[ratio] = error
            else:
                self._trials[ratio] = Trial(result, kept, time.monotonic() - start)
        return self._trials.get(ratio)
