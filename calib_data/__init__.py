"""Where samples come from, how a model is run over them, and the statistics that are kept.

Names are loaded when they are first used: the command line's help needs none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.lazy import load_name

if TYPE_CHECKING:
    from .collector import DEFAULT_MEMORY_BYTES, Progress, collect
    from .data import ArraySource, CalibrationData, SampleSource
    from .datasets import DATASETS, SPLITS, open_dataset
    from .finite import check_finite
    from .observers import Gram, MinMax, Moments, Observer
    from .opening import open_data
    from .preprocessing import Preprocessing
    from .runner import OrtRunner, Runner
    from .torch_dataset import from_torch

__all__ = [
    "DATASETS",
    "DEFAULT_MEMORY_BYTES",
    "SPLITS",
    "ArraySource",
    "CalibrationData",
    "Gram",
    "MinMax",
    "Moments",
    "Observer",
    "OrtRunner",
    "Preprocessing",
    "Progress",
    "Runner",
    "SampleSource",
    "check_finite",
    "collect",
    "from_torch",
    "open_data",
    "open_dataset",
]

_PLACES: dict[str, tuple[str, ...]] = {
    "collector": (
        "DEFAULT_MEMORY_BYTES",
        "Progress",
        "collect",
    ),
    "data": (
        "ArraySource",
        "CalibrationData",
        "SampleSource",
    ),
    "datasets": (
        "DATASETS",
        "SPLITS",
        "open_dataset",
    ),
    "finite": ("check_finite",),
    "observers": (
        "Gram",
        "MinMax",
        "Moments",
        "Observer",
    ),
    "opening": ("open_data",),
    "preprocessing": ("Preprocessing",),
    "runner": (
        "OrtRunner",
        "Runner",
    ),
    "torch_dataset": ("from_torch",),
}
_HOME = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used.

    Raises:
        AttributeError: There is no such name.
    """
    return load_name(__name__, _HOME, name)
