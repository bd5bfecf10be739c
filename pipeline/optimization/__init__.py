"""The search for the fastest model that an accuracy budget allows."""

from __future__ import annotations

from .candidates import Candidate, Plan, pareto_front
from .decision import Decision
from .options import OptimizeOptions
from .run import NothingGainedError, Optimized, optimize

__all__ = [
    "Candidate",
    "Decision",
    "NothingGainedError",
    "OptimizeOptions",
    "Optimized",
    "Plan",
    "optimize",
    "pareto_front",
]
