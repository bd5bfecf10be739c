"""Quantization-aware healing: the graph is trained with its rounding, and its scales go straight into Q/DQ nodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..calib_data import CalibrationData
from ..core import ModelArtifact
from ..core.reports import PassReport
from ..core.targets import Target, get_target
from ..passes.quantization import QuantizeOptions, QuantizeOutcome, Quantizer, climb, retrainable, retrained
from .healing import checkpoint_folder
from .monitor import Monitor, Silent
from .opening import CALIBRATION_SAMPLES, ModelLike, as_model, clean

if TYPE_CHECKING:
    from ..training.healing import HealOptions, HealReport


@dataclass(frozen=True)
class HealedQuantized:
    """What quantization-aware healing gives.

    Attributes:
        model: The model with Q/DQ, in memory.
        report: What was compared, epoch by epoch; ``before_score`` is that of quantization without training.
        quantization: Types, ranges and errors; errors are against the trained float weights.
    """

    model: ModelArtifact
    report: HealReport
    quantization: PassReport

    def save(self, path: str | Path, *, force: bool = False) -> ModelArtifact:
        """Write the model; see :meth:`~sardonyx.core.ModelArtifact.save`."""
        return self.model.save(Path(path), force=force)

    def summary(self) -> dict[str, Any]:
        """Model and reports, for JSON."""
        return {
            "sha256": self.model.sha256,
            "size_bytes": self.model.size_bytes,
            "report": self.report,
            "quantization": self.quantization,
        }


def heal_quantized(
    model: ModelLike,
    teacher: ModelLike,
    data: CalibrationData,
    *,
    target: str | Target = "auto",
    quantize: QuantizeOptions | None = None,
    options: HealOptions | None = None,
    evaluation: CalibrationData | None = None,
    limit: int | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    monitor: Monitor | None = None,
) -> HealedQuantized:
    """Quantize a model, train it with its rounding to imitate its teacher, and write the integers it learned.

    Args:
        model: A float model.
        teacher: The model that it was made from, with the same inputs and outputs; it may be the same.
        data: Samples to learn from; ranges are taken from some of them.
        target: What the model is made for.
        quantize: How it is quantized; ``tools`` are tried, so that training begins where they end.
        options: How it is trained.
        evaluation: Other samples that the report's figures are of.
        limit: Most samples to learn from, a seeded choice.
        checkpoint: As for :func:`~sardonyx.pipeline.heal`.
        resume: Take up an interrupted run; where there is none, start.
        monitor: Is told how work goes on.

    Raises:
        DataError: The samples do not fit the models.
        ExpectationError: The loss is not finite.
        InputError: The model is quantized already, or nothing in it can become integer.
        ModelError: An operator cannot be trained, or a weight cannot be rounded in training; it is named.
        UsageError: The models have other inputs or outputs, or nothing can be compared as asked.
        MissingExtraError: torch is not installed.
    """
    from ..training.healing import HealOptions, RoundedGraph, Rounding, teach

    options, monitor = options or HealOptions(), monitor or Silent()
    few = data if limit is None else data.subset(limit, seed=options.seed)
    quantizer, outcome = _quantized(model, few, target, quantize or QuantizeOptions(), monitor)
    base = retrainable(quantizer, outcome)
    weights = [Rounding(w.initializer, w.scale, w.lowest, w.highest) for w in base.weights]
    graph = RoundedGraph(base.model, weights, base.scales.values())
    with checkpoint_folder(checkpoint) as path, monitor.progress("training") as progress:
        report = teach(
            graph.module,
            base.model,
            as_model(teacher).load(),
            few,
            options,
            checkpoint=path,
            evaluation=evaluation,
            resume=resume,
            progress=progress,
            note=monitor.note,
        )
    written = retrained(quantizer, outcome, base, graph.arrays(), graph.weight_scales())
    return HealedQuantized(ModelArtifact.of(written.model), report, written.report)


def _quantized(
    model: ModelLike,
    data: CalibrationData,
    target: str | Target,
    options: QuantizeOptions,
    monitor: Monitor,
) -> tuple[Quantizer, QuantizeOutcome]:
    """What training begins from."""
    cleaned, _ = clean(as_model(model))
    samples = data.subset(CALIBRATION_SAMPLES, seed=options.seed)
    aim = get_target(target) if isinstance(target, str) else target
    quantizer = Quantizer(cleaned.load(), samples, options, target=aim, note=monitor.note)
    with monitor.progress("calibrating") as progress:
        quantizer.progress = progress
        return quantizer, climb(quantizer, options.tools)
