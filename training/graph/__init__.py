"""An ONNX graph that can be trained without its source.

Importing this package loads no torch; using :class:`TrainableGraph` does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ...core.errors import MissingExtraError

if TYPE_CHECKING:
    from .module import TrainableGraph
    from .weights import Weight, default_choice

__all__ = ["TrainableGraph", "Weight", "default_choice"]

_LAZY = {"TrainableGraph": "module", "Weight": "weights", "default_choice": "weights"}


def __getattr__(name: str) -> Any:
    """Load what needs torch when it is asked for.

    Raises:
        AttributeError: There is no such name.
        MissingExtraError: torch is not installed.
    """
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError("torch", "torch") from error
