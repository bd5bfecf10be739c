"""From a torch module to an ONNX model that is proved to compute the same.

Importing this package loads neither torch nor ONNX Runtime; using what needs them does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.lazy import TORCH_EXTRA, load_name
from .options import EXPORTERS, ExporterName, ExportOptions, InputShape
from .report import Attempt, ExportReport, ParityRow

if TYPE_CHECKING:
    from .checkpoints import load_weights
    from .export import ExportResult, export_model
    from .factories import load_factory

__all__ = [
    "EXPORTERS",
    "Attempt",
    "ExportOptions",
    "ExportReport",
    "ExportResult",
    "ExporterName",
    "InputShape",
    "ParityRow",
    "export_model",
    "load_factory",
    "load_weights",
]

_LAZY = {
    "ExportResult": "export",
    "export_model": "export",
    "load_factory": "factories",
    "load_weights": "checkpoints",
}


def __getattr__(name: str) -> Any:
    """Load what needs torch when it is asked for.

    Raises:
        AttributeError: There is no such name.
        MissingExtraError: An optional package is not installed.
    """
    return load_name(__name__, _LAZY, name, optional=TORCH_EXTRA)
