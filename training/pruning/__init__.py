"""Pruning while training: penalties and schedules that make weights or whole neurons zero, so that they can be cut.

Importing this package loads no torch; using what needs it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.lazy import TORCH_EXTRA, load_name
from .groups import NeuronGroup, Slice, SliceRole, Vanished
from .schedule import CubicSchedule

if TYPE_CHECKING:
    from .layout import find_vanished
    from .magnitude import GradualMagnitude
    from .normalization import with_normalization
    from .penalties import GroupLasso, L1Penalty, L2Penalty
    from .structural import GradualStructural

__all__ = [
    "CubicSchedule",
    "GradualMagnitude",
    "GradualStructural",
    "GroupLasso",
    "L1Penalty",
    "L2Penalty",
    "NeuronGroup",
    "Slice",
    "SliceRole",
    "Vanished",
    "find_vanished",
    "with_normalization",
]

_LAZY = {
    "GradualMagnitude": "magnitude",
    "GradualStructural": "structural",
    "GroupLasso": "penalties",
    "L1Penalty": "penalties",
    "L2Penalty": "penalties",
    "find_vanished": "layout",
    "with_normalization": "normalization",
}


def __getattr__(name: str) -> Any:
    """Load what needs torch when it is asked for.

    Raises:
        AttributeError: There is no such name.
        MissingExtraError: An optional package is not installed.
    """
    return load_name(__name__, _LAZY, name, optional=TORCH_EXTRA)
