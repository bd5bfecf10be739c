"""An ONNX graph that can be trained without its source.

Importing this package loads no torch; using :class:`TrainableGraph` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.lazy import TORCH_EXTRA, load_name

if TYPE_CHECKING:
    from .module import TrainableGraph
    from .weights import Weight, default_choice

__all__ = ["TrainableGraph", "Weight", "default_choice"]

_LAZY = {"TrainableGraph": "module", "Weight": "weights", "default_choice": "weights"}


def __getattr__(name: str) -> Any:
    """Load what needs torch when it is asked for.

    Raises:
        AttributeError: There is no such name.
        MissingExtraError: An optional package is not installed.
    """
    return load_name(__name__, _LAZY, name, optional=TORCH_EXTRA)
