"""Healing an ``.onnx`` file: its weights learn to answer as the model that it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..calib_data import CalibrationData, OrtRunner
from ..core import ModelArtifact
from ..core.errors import ExpectationError, InputError, UsageError
from ..core.files import temporary_folder
from ..core.reports import PassReport
from ..passes.output_error import OutputError, relative_error
from ..passes.quantization import quantized_node
from .monitor import Monitor, Silent
from .opening import ModelLike, as_model

if TYPE_CHECKING:
    from ..training.healing import HealOptions, HealReport

_PROOF_SAMPLES = 16
_PROOF_ERROR = 1e-3
"""Most that torch and ONNX Runtime may differ on the healed model, relative to its outputs."""


@dataclass(frozen=True)
class HealedModel:
    """What healing gives.

    Attributes:
        model: The model, in memory.
        report: What was compared, epoch by epoch, before and after; before training, where it was quantized first.
        proof_error: How far torch and ONNX Runtime differ on its outputs, relative to them; None for a quantized model.
        quantization: Types, ranges and errors of a quantized model; errors are against the trained float weights.
    """

    model: ModelArtifact
    report: HealReport
    proof_error: float | None = None
    quantization: PassReport | None = None

    def save(self, path: str | Path, *, force: bool = False) -> ModelArtifact:
        """Write the model; see :meth:`~sardonyx.core.ModelArtifact.save`."""
        return self.model.save(Path(path), force=force)

    def summary(self) -> dict[str, Any]:
        """Model and reports, for JSON."""
        only = {"proof_error": self.proof_error, "quantization": self.quantization}
        return {
            "sha256": self.model.sha256,
            "size_bytes": self.model.size_bytes,
            "report": self.report,
            **{name: value for name, value in only.items() if value is not None},
        }


def heal(
    model: ModelLike,
    teacher: ModelLike,
    data: CalibrationData,
    *,
    options: HealOptions | None = None,
    evaluation: CalibrationData | None = None,
    limit: int | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    monitor: Monitor | None = None,
) -> HealedModel:
    """Train a model's own weights to imitate the model that it was made from.

    Args:
        model: The model to heal: cut, or changed in another way; in float.
        teacher: The model that it was made from, with the same inputs and outputs.
        data: Samples to learn from; labels help, and are not needed.
        options: How; the defaults if left out.
        evaluation: Other samples that the report's figures are of.
        limit: Most samples to learn from, a seeded choice.
        checkpoint: Where the training keeps its state; a temporary place where None, and then it cannot be resumed.
        resume: Take up an interrupted run; where there is none, start.
        monitor: Is told how work goes on.

    Raises:
        DataError: The samples do not fit the models.
        ExpectationError: The loss is not finite, or ONNX Runtime computes something else than torch did.
        InputError: A model is quantized.
        ModelError: An operator cannot be trained; it is named.
        UsageError: The models have other inputs or outputs, or nothing can be compared as asked.
        MissingExtraError: torch is not installed.
    """
    from ..training.healing import HealOptions
    from ..training.healing import heal as train

    options, monitor = options or HealOptions(), monitor or Silent()
    student, master = as_model(model).load(), as_model(teacher).load()
    for graph in (student, master):
        if (node := quantized_node(graph)) is not None:
            raise InputError(
                f"integers cannot be trained: the model is quantized already ({node.op_type} {node.name!r})",
                remedy="heal the float model; --qat trains it with rounding and writes integers",
            )
    if limit is not None and limit < 2:
        raise UsageError(f"--limit {limit} leaves nothing to hold out", remedy="give 2 samples or more")
    few = data if limit is None else data.subset(limit, seed=options.seed)
    with checkpoint_folder(checkpoint) as path, monitor.progress("healing") as progress:
        healed = train(
            student,
            master,
            few,
            options,
            checkpoint=path,
            evaluation=evaluation,
            resume=resume,
            progress=progress,
            note=monitor.note,
        )
    made = ModelArtifact.of(healed.model)
    return HealedModel(made, healed.report, proof_error=_proof(made, few))


@contextmanager
def checkpoint_folder(checkpoint: Path | None) -> Iterator[Path]:
    """Where a training keeps its state: at a path, or at a temporary one that is gone afterwards."""
    if checkpoint is not None:
        yield checkpoint
        return
    with temporary_folder() as folder:
        yield folder / "healed.safetensors"


def _proof(model: ModelArtifact, data: CalibrationData) -> float:
    """How far torch and ONNX Runtime differ on the outputs of the healed model.

    Raises:
        ExpectationError: Too far.
    """
    from ..training.healing import computed

    bound = data.for_model(model.inputs).subset(_PROOF_SAMPLES)
    graph = model.load()
    right = OutputError(graph, bound, OrtRunner(), samples=_PROOF_SAMPLES)
    error = 0.0
    for found, expected in zip(computed(graph, right.feeds, right.names), right.expected, strict=True):
        for name in right.names:
            error = max(error, relative_error(expected[name].reshape(-1), found[name].reshape(-1)))
    if error > _PROOF_ERROR:
        raise ExpectationError(
            f"torch and ONNX Runtime differ by {error:.2g} on the healed model, {_PROOF_ERROR:g} is allowed",
            remedy="please report the model: an operator is computed differently",
        )
    return error
