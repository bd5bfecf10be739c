"""Healing a changed graph: its own weights are trained in torch to imitate the graph that it was made from.

Importing this package loads no torch; using what needs it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.lazy import TORCH_EXTRA, load_name
from .options import HealOptions
from .report import Answer, Estimate, HealReport

if TYPE_CHECKING:
    from .imitation import Healed, computed, heal
    from .rounding import RoundedGraph, Rounding

__all__ = [
    "Answer",
    "Estimate",
    "HealOptions",
    "HealReport",
    "Healed",
    "RoundedGraph",
    "Rounding",
    "computed",
    "heal",
]

_LAZY = {
    "Healed": "imitation",
    "RoundedGraph": "rounding",
    "Rounding": "rounding",
    "computed": "imitation",
    "heal": "imitation",
}


def __getattr__(name: str) -> Any:
    """Load what needs torch when it is asked for.

    Raises:
        AttributeError: There is no such name.
        MissingExtraError: An optional package is not installed.
    """
    return load_name(__name__, _LAZY, name, optional=TORCH_EXTRA)
