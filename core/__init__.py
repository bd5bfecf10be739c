"""What everything else stands on: errors, the door for models, targets, reports, files, tensors.

Names are loaded when they are first used: the command line needs the errors without onnx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .lazy import load_name

if TYPE_CHECKING:
    from .artifact import ModelArtifact
    from .errors import (
        DataError,
        EnvironmentFault,
        ExpectationError,
        InputError,
        LimitError,
        MissingExtraError,
        ModelError,
        ProviderError,
        RecipeError,
        SardonyxError,
        StorageError,
        UsageError,
    )
    from .limits import Limits, use_limits
    from .metrics import count_macs, measure_graph, node_macs
    from .reports import Change, GraphMetrics, PassReport, Skip
    from .shapes import concrete_shapes, infer_shapes
    from .targets import TARGET_NAMES, Target, get_target
    from .tensors import Array, Feed, TensorSpec, input_specs, output_specs

__all__ = [
    "TARGET_NAMES",
    "Array",
    "Change",
    "DataError",
    "EnvironmentFault",
    "ExpectationError",
    "Feed",
    "GraphMetrics",
    "InputError",
    "LimitError",
    "Limits",
    "MissingExtraError",
    "ModelArtifact",
    "ModelError",
    "PassReport",
    "ProviderError",
    "RecipeError",
    "SardonyxError",
    "Skip",
    "StorageError",
    "Target",
    "TensorSpec",
    "UsageError",
    "concrete_shapes",
    "count_macs",
    "get_target",
    "infer_shapes",
    "input_specs",
    "measure_graph",
    "node_macs",
    "output_specs",
    "use_limits",
]

_PLACES: dict[str, tuple[str, ...]] = {
    "artifact": ("ModelArtifact",),
    "errors": (
        "DataError",
        "EnvironmentFault",
        "ExpectationError",
        "InputError",
        "LimitError",
        "MissingExtraError",
        "ModelError",
        "ProviderError",
        "RecipeError",
        "SardonyxError",
        "StorageError",
        "UsageError",
    ),
    "limits": ("Limits", "use_limits"),
    "metrics": (
        "count_macs",
        "measure_graph",
        "node_macs",
    ),
    "reports": (
        "Change",
        "GraphMetrics",
        "PassReport",
        "Skip",
    ),
    "shapes": (
        "concrete_shapes",
        "infer_shapes",
    ),
    "targets": (
        "TARGET_NAMES",
        "Target",
        "get_target",
    ),
    "tensors": (
        "Array",
        "Feed",
        "TensorSpec",
        "input_specs",
        "output_specs",
    ),
}
_HOME = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used.

    Raises:
        AttributeError: There is no such name.
    """
    return load_name(__name__, _HOME, name)
