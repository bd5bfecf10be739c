"""The verbs in Python, the recipe, and its runs: what joins exporter, training, passes and runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.lazy import load_name

if TYPE_CHECKING:
    from .bench_output import BenchDocument, bench_csv, bench_document, bench_schema, read_bench
    from .bundle_checks import VerifyReport, check_report, verify_bundle
    from .bundle_words import read_labels
    from .doctor import Diagnosis, diagnose
    from .documents import plain
    from .exporting import Exported, export
    from .healing import HealedModel, heal
    from .inspection import Inspection, inspect
    from .measurement import bench, check_expectations, check_promises, compare
    from .monitor import Monitor, Silent
    from .neurons import Neurons, cut_vanished, find_neurons
    from .opening import WrittenSamples, open_calibration, open_evaluation, open_model, write_samples
    from .optimization import NothingGainedError, Optimized, OptimizeOptions, optimize
    from .packaging import Bundle, Packaged, PackageOptions, package
    from .placing import ModelPlacement, placements, register_libraries
    from .plans import parse_plan, read_plan, write_plan
    from .profiling import profile
    from .pruning import Pruned, prune
    from .qat import heal_quantized
    from .quantization import Quantized, UnmetBudgetError, quantize
    from .recipe import Recipe, parse_recipe, read_recipe
    from .run import RunResult, run_recipe, training_part
    from .speed_gate import Gate, check_baseline, check_gate, hold_to_baseline

__all__ = [
    "BenchDocument",
    "Bundle",
    "Diagnosis",
    "Exported",
    "Gate",
    "HealedModel",
    "Inspection",
    "ModelPlacement",
    "Monitor",
    "Neurons",
    "NothingGainedError",
    "OptimizeOptions",
    "Optimized",
    "PackageOptions",
    "Packaged",
    "Pruned",
    "Quantized",
    "Recipe",
    "RunResult",
    "Silent",
    "UnmetBudgetError",
    "VerifyReport",
    "WrittenSamples",
    "bench",
    "bench_csv",
    "bench_document",
    "bench_schema",
    "check_baseline",
    "check_expectations",
    "check_gate",
    "check_promises",
    "check_report",
    "compare",
    "cut_vanished",
    "diagnose",
    "export",
    "find_neurons",
    "heal",
    "heal_quantized",
    "hold_to_baseline",
    "inspect",
    "open_calibration",
    "open_evaluation",
    "open_model",
    "optimize",
    "package",
    "parse_plan",
    "parse_recipe",
    "placements",
    "plain",
    "profile",
    "prune",
    "quantize",
    "read_bench",
    "read_labels",
    "read_plan",
    "read_recipe",
    "register_libraries",
    "run_recipe",
    "training_part",
    "verify_bundle",
    "write_plan",
    "write_samples",
]

# Loaded when first used: a verb pays for its own libraries only.
_PLACES: dict[str, tuple[str, ...]] = {
    "bench_output": ("BenchDocument", "bench_csv", "bench_document", "bench_schema", "read_bench"),
    "bundle_checks": ("VerifyReport", "check_report", "verify_bundle"),
    "bundle_words": ("read_labels",),
    "doctor": ("Diagnosis", "diagnose"),
    "documents": ("plain",),
    "exporting": ("Exported", "export"),
    "healing": ("HealedModel", "heal"),
    "inspection": ("Inspection", "inspect"),
    "measurement": ("bench", "check_expectations", "check_promises", "compare"),
    "monitor": ("Monitor", "Silent"),
    "neurons": ("Neurons", "cut_vanished", "find_neurons"),
    "opening": ("WrittenSamples", "open_calibration", "open_evaluation", "open_model", "write_samples"),
    "placing": ("ModelPlacement", "placements", "register_libraries"),
    "optimization": ("NothingGainedError", "OptimizeOptions", "Optimized", "optimize"),
    "packaging": ("Bundle", "PackageOptions", "Packaged", "package"),
    "plans": ("parse_plan", "read_plan", "write_plan"),
    "profiling": ("profile",),
    "pruning": ("Pruned", "prune"),
    "quantization": ("Quantized", "UnmetBudgetError", "quantize"),
    "qat": ("heal_quantized",),
    "recipe": ("Recipe", "parse_recipe", "read_recipe"),
    "run": ("RunResult", "run_recipe", "training_part"),
    "speed_gate": ("Gate", "check_baseline", "check_gate", "hold_to_baseline"),
}
_HOME = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used.

    Raises:
        AttributeError: There is no such name.
    """
    return load_name(__name__, _HOME, name)
