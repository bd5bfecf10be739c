"""Training and distilling torch modules, and teaching a small one from a large one.

Importing this package loads neither torch nor accelerate; using what needs them does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..core.errors import MissingExtraError
from .options import DistillOptions, TrainOptions
from .report import DistillReport, EpochRow, TrainReport
from .schedule import SCHEDULES, rate_factor

if TYPE_CHECKING:
    from .evaluation import evaluate_top1, predict
    from .modules import make_module
    from .state import resume_path
    from .tasks import distill, train_supervised

__all__ = [
    "SCHEDULES",
    "DistillOptions",
    "DistillReport",
    "EpochRow",
    "TrainOptions",
    "TrainReport",
    "distill",
    "evaluate_top1",
    "make_module",
    "predict",
    "rate_factor",
    "resume_path",
    "train_supervised",
]

_LAZY = {
    "distill": "tasks",
    "evaluate_top1": "evaluation",
    "make_module": "modules",
    "predict": "evaluation",
    "resume_path": "state",
    "train_supervised": "tasks",
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
