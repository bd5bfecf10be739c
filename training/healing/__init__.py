"""Healing a changed graph: its own weights are trained in torch to imitate the graph that it was made from.

Importing this package loads no torch; using what needs it does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ...core.errors import MissingExtraError
from .options import HealOptions
from .report import Answer, Estimate, HealReport

if TYPE_CHECKING:
    from .imitation import Healed, computed, heal, teach
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
    "teach",
]

_LAZY = {
    "Healed": "imitation",
    "RoundedGraph": "rounding",
    "Rounding": "rounding",
    "computed": "imitation",
    "heal": "imitation",
    "teach": "imitation",
}
_OPTIONAL = frozenset({"accelerate", "safetensors", "torch"})


def __getattr__(name: str) -> Any:
    """Load what needs torch when it is asked for.

    Raises:
        AttributeError: There is no such name.
        MissingExtraError: An optional package is not installed.
    """
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    except ModuleNotFoundError as error:
        if error.name not in _OPTIONAL:
            raise
        raise MissingExtraError(error.name, "torch") from error
