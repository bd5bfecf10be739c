"""Take a trained model to the device: export, prune, quantize, and prove it under ONNX Runtime.

::

    import sardonyx as sx

    data = sx.CalibrationData.from_npz("calib.npz")
    model = sx.open_model("model.onnx")
    pruned = sx.prune(model, data, params=0.5)
    int8 = sx.quantize(pruned.model, data)
    print(sx.compare([model, int8.model], data, metric="cosine"))

Names are loaded when they are first used: importing this package loads no library but Python's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .calib_data import CalibrationData, open_data
    from .core import (
        DataError,
        EnvironmentFault,
        ExpectationError,
        InputError,
        LimitError,
        Limits,
        MissingExtraError,
        ModelArtifact,
        ModelError,
        ProviderError,
        RecipeError,
        SardonyxError,
        StorageError,
        Target,
        UsageError,
        get_target,
        use_limits,
    )
    from .exporter import InputShape
    from .pipeline import (
        Diagnosis,
        Exported,
        HealedModel,
        Inspection,
        Optimized,
        OptimizeOptions,
        Packaged,
        PackageOptions,
        Pruned,
        Quantized,
        Recipe,
        RunResult,
        VerifyReport,
        bench,
        compare,
        diagnose,
        export,
        heal,
        heal_quantized,
        inspect,
        open_model,
        optimize,
        package,
        parse_recipe,
        profile,
        prune,
        quantize,
        read_recipe,
        run_recipe,
        verify_bundle,
    )
    from .runtime import CompareReport, LatencyReport, ProfileReport, register_library

    __version__: str

__all__ = [
    "CalibrationData",
    "CompareReport",
    "DataError",
    "Diagnosis",
    "EnvironmentFault",
    "ExpectationError",
    "Exported",
    "HealedModel",
    "InputError",
    "InputShape",
    "Inspection",
    "LatencyReport",
    "LimitError",
    "Limits",
    "MissingExtraError",
    "ModelArtifact",
    "ModelError",
    "OptimizeOptions",
    "Optimized",
    "PackageOptions",
    "Packaged",
    "ProfileReport",
    "ProviderError",
    "Pruned",
    "Quantized",
    "Recipe",
    "RecipeError",
    "RunResult",
    "SardonyxError",
    "StorageError",
    "Target",
    "UsageError",
    "VerifyReport",
    "__version__",
    "bench",
    "compare",
    "diagnose",
    "export",
    "get_target",
    "heal",
    "heal_quantized",
    "inspect",
    "open_data",
    "open_model",
    "optimize",
    "package",
    "parse_recipe",
    "profile",
    "prune",
    "quantize",
    "read_recipe",
    "register_library",
    "run_recipe",
    "use_limits",
    "verify_bundle",
]

_PLACES: dict[str, tuple[str, ...]] = {
    "calib_data": ("CalibrationData", "open_data"),
    "core.artifact": ("ModelArtifact",),
    "core.errors": (
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
    "core.limits": ("Limits", "use_limits"),
    "core.targets": ("Target", "get_target"),
    "exporter": ("InputShape",),
    "runtime": ("CompareReport", "LatencyReport", "ProfileReport", "register_library"),
    "pipeline": (
        "Diagnosis",
        "Exported",
        "HealedModel",
        "Inspection",
        "OptimizeOptions",
        "Optimized",
        "PackageOptions",
        "Packaged",
        "Pruned",
        "Quantized",
        "Recipe",
        "RunResult",
        "VerifyReport",
        "bench",
        "compare",
        "diagnose",
        "export",
        "heal",
        "heal_quantized",
        "inspect",
        "open_model",
        "optimize",
        "package",
        "parse_recipe",
        "profile",
        "prune",
        "quantize",
        "read_recipe",
        "run_recipe",
        "verify_bundle",
    ),
}
_HOME = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used.

    Raises:
        AttributeError: There is no such name.
    """
    if name == "__version__":
        from importlib.metadata import version

        return version("sardonyx")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted({*globals(), *__all__})
