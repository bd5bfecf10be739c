"""Learning rates as pure functions of the step: nothing to be saved, nothing to be lost."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["one-cycle", "cosine", "constant"]

SCHEDULES: tuple[Schedule, ...] = ("one-cycle", "cosine", "constant")

_START = 0.04
"""Where ``one-cycle`` begins, as a share of the largest rate (Smith & Topin 2017, arXiv:1708.07120)."""


def rate_factor(schedule: Schedule, step: int, steps: int, warmup_ratio: float = 0.25) -> float:
    """The learning rate of a step, as a share of the largest.

    Args:
        schedule: ``one-cycle`` rises from 4 % along a cosine and falls to 0; ``cosine`` only falls;
            ``constant`` stays.
        step: Steps taken so far, from 0.
        steps: Steps in all.
        warmup_ratio: Share of the steps in which ``one-cycle`` rises.

    Returns:
        A factor in ``[0, 1]``.
    """
    if schedule == "constant":
        return 1.0
    warmup = warmup_ratio * steps if schedule == "one-cycle" else 0.0
    if step < warmup:
        return 1.0 - (1.0 - _START) * _falling(step / warmup)
    return _falling((step - warmup) / max(steps - warmup, 1.0))


def _falling(share: float) -> float:
    """Half a cosine from 1 to 0."""
    return 0.5 * (1.0 + math.cos(math.pi * min(share, 1.0)))
