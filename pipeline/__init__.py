"""The verbs in Python, the recipe, and its runs: what joins exporter, training, passes and runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.lazy import load_name

if TYPE_CHECKING:
    from .doctor import Diagnosis, diagnose
    from .documents import plain
    from .exporting import Exported, export
    from .healing import HealedModel, heal
    from .inspection import Inspection, inspect
    from .measurement import bench, check_expectations, compare
    from .monitor import Monitor, Silent
    from .opening import WrittenSamples, open_calibration, open_evaluation, open_model, write_samples
    from .plans import parse_plan, read_plan, write_plan
    from .pruning import Pruned, prune
    from .qat import heal_quantized
    from .quantization import Quantized, UnmetBudgetError, quantize
    from .recipe import Recipe, parse_recipe, read_recipe
    from .run import RunResult, run_recipe, training_part

__all__ = [
    "Diagnosis",
    "Exported",
    "HealedModel",
    "Inspection",
    "Monitor",
    "Pruned",
    "Quantized",
    "Recipe",
    "RunResult",
    "Silent",
    "UnmetBudgetError",
    "WrittenSamples",
    "bench",
    "check_expectations",
    "compare",
    "diagnose",
    "export",
    "heal",
    "heal_quantized",
    "inspect",
    "open_calibration",
    "open_evaluation",
    "open_model",
    "parse_plan",
    "parse_recipe",
    "plain",
    "prune",
    "quantize",
    "read_plan",
    "read_recipe",
    "run_recipe",
    "training_part",
    "write_plan",
    "write_samples",
]

# Loaded when first used: a verb pays for its own libraries only.
_PLACES: dict[str, tuple[str, ...]] = {
    "doctor": ("Diagnosis", "diagnose"),
    "documents": ("plain",),
    "exporting": ("Exported", "export"),
    "healing": ("HealedModel", "heal"),
    "inspection": ("Inspection", "inspect"),
    "measurement": ("bench", "check_expectations", "compare"),
    "monitor": ("Monitor", "Silent"),
    "opening": ("WrittenSamples", "open_calibration", "open_evaluation", "open_model", "write_samples"),
    "plans": ("parse_plan", "read_plan", "write_plan"),
    "pruning": ("Pruned", "prune"),
    "quantization": ("Quantized", "UnmetBudgetError", "quantize"),
    "qat": ("heal_quantized",),
    "recipe": ("Recipe", "parse_recipe", "read_recipe"),
    "run": ("RunResult", "run_recipe", "training_part"),
}
_HOME = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used.

    Raises:
        AttributeError: There is no such name.
    """
    return load_name(__name__, _HOME, name)
