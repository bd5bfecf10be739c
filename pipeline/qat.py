"""Quantization-aware healing: the graph is trained with its rounding, and its scales go straight into Q/DQ nodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..calib_data import CalibrationData
from ..core import ModelArtifact
from ..core.targets import Target, get_target
from ..passes.quantization import QuantizeOptions, QuantizeOutcome, Quantizer, climb, retrainable, retrained
from .healing import HealedModel, checkpoint_folder
from .monitor import Monitor, Silent
from .opening import CALIBRATION_SAMPLES, ModelLike, as_model, clean

if TYPE_CHECKING:
    from ..training.healing import HealOptions


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
) -> HealedModel:
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
    from ..training.healing import HealOptions, RoundedGraph, Rounding
    from ..training.healing import heal as train

    options, monitor = options or HealOptions(), monitor or Silent()
    few = data if limit is None else data.subset(limit, seed=options.seed)
    quantizer, outcome = _quantized(model, few, target, quantize or QuantizeOptions(), monitor)
    base = retrainable(quantizer, outcome)
    weights = [Rounding(w.initializer, w.scale, w.lowest, w.highest) for w in base.weights]
    graph = RoundedGraph(base.model, weights, base.scales.values())
    with checkpoint_folder(checkpoint) as path, monitor.progress("training") as progress:
        healed = train(
            base.model,
            as_model(teacher).load(),
            few,
            options,
            checkpoint=path,
            graph=graph.module,
            evaluation=evaluation,
            resume=resume,
            progress=progress,
            note=monitor.note,
        )
    written = retrained(quantizer, outcome, base, graph.arrays(), graph.weight_scales())
    return HealedModel(ModelArtifact.of(written.model), healed.report, quantization=written.report)


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
