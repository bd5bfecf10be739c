"""Torch modules in a chain: made, trained, taught and exported, without torch being named here."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..calib_data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import ModelError
from ..core.files import write_atomic
from ..exporter import InputShape
from ..training import DistillReport, TrainReport
from .exporting import Exported, export
from .monitor import Monitor
from .recipe import DistillStep, ExportStep, TrainStep
from .samples import resolve_text
from .workspace import file_sha256

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Network:
    """A torch module: who makes it, and its weights.

    Attributes:
        source: ``pkg.module:factory`` or ``file.py:factory``, as the recipe says it.
        weights: The file of its weights; None for those that the factory gives it.
    """

    source: str
    weights: Path | None

    @property
    def weights_sha256(self) -> str | None:
        """SHA-256 of the file of its weights.

        Raises:
            ModelError: The file is not there.
        """
        if self.weights is None:
            return None
        if not self.weights.is_file():
            raise ModelError(f"there is no file {self.weights}", remedy="check the path of the weights")
        return file_sha256(self.weights)

    def load(self, base: Path) -> nn.Module:
        """The module with its weights."""
        from ..exporter import load_factory, load_weights

        module = load_factory(resolve_text(self.source, base))()
        if self.weights is not None:
            load_weights(module, self.weights)
        return module

    def identity(self, base: Path) -> list[Any]:
        """What decides which module it is."""
        return [describe_source(self.source, base), self.weights_sha256]


@dataclass(frozen=True)
class GraphTeacher:
    """An ONNX graph that teaches.

    Attributes:
        model: The graph.
    """

    model: ModelArtifact

    def load(self, base: Path) -> nn.Module:
        """The graph as a module without parameters."""
        from ..training import OnnxTeacher

        return OnnxTeacher(self.model)

    def identity(self, base: Path) -> list[Any]:
        """What decides which graph it is."""
        return [self.model.sha256]


Teacher: TypeAlias = Network | GraphTeacher
"""Who may teach."""


@dataclass(frozen=True)
class School:
    """Where modules are trained.

    Attributes:
        base: The folder that sources are relative to.
        train: Samples with labels.
        evaluation: Other samples with labels.
        seed: Seed of weights, order and augmentation.
        monitor: Is told how work goes on.
    """

    base: Path
    train_data: CalibrationData
    evaluation: CalibrationData
    seed: int
    monitor: Monitor

    def train(self, step: TrainStep, checkpoints: Path, weights: Path) -> TrainReport:
        """Train from labels, going on from a checkpoint if there is one, and write the weights."""
        from ..training import train_supervised

        checkpoint = checkpoint_in(checkpoints)
        module = self._fresh(step.source)
        with self.monitor.progress("training") as progress:
            report = train_supervised(
                module,
                self.train_data,
                self.evaluation,
                step.options(self.seed),
                checkpoint=checkpoint,
                resume=True,
                progress=progress,
            )
        write_atomic(weights, checkpoint.read_bytes())
        return report

    def distil(self, step: DistillStep, teacher: Teacher, checkpoints: Path, weights: Path) -> DistillReport:
        """Teach a student, going on from a checkpoint if there is one, and write its weights."""
        from ..training import distill

        checkpoint = checkpoint_in(checkpoints)
        student, master = self._fresh(step.source), teacher.load(self.base)
        with self.monitor.progress("distilling") as progress:
            report = distill(
                student,
                master,
                self.train_data,
                self.evaluation,
                step.options(self.seed),
                checkpoint=checkpoint,
                resume=True,
                progress=progress,
            )
        write_atomic(weights, checkpoint.read_bytes())
        return report

    def _fresh(self, source: str) -> nn.Module:
        """A module whose first weights come from the seed."""
        from ..exporter import load_factory
        from ..training import make_module

        return make_module(load_factory(resolve_text(source, self.base)), self.seed)


def export_network(
    step: ExportStep, network: Network, base: Path, data: CalibrationData | None, seed: int, monitor: Monitor
) -> Exported:
    """Export a module, with inputs like the samples' where the step names none."""
    shapes: Any = step.input or _shapes_of(data)
    return export(network.load(base), inputs=shapes, dynamic=step.dynamic, seed=seed, monitor=monitor)


def describe_source(source: str, base: Path) -> list[str]:
    """A source and the hash of the file that defines it: what decides which module it makes."""
    place, _, _ = resolve_text(source, base).rpartition(":")
    path = Path(place) if place.endswith(".py") else _file_of(place)
    return [source, "" if path is None or not path.is_file() else file_sha256(path)]


def _file_of(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None  # the export will say so, with its own remedy
    return None if spec is None or spec.origin is None else Path(spec.origin)


def checkpoint_in(folder: Path) -> Path:
    """Where a training keeps its weights in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "weights.safetensors"


def _shapes_of(data: CalibrationData | None) -> dict[str, InputShape]:
    assert data is not None
    sample = data.source.read(data.indices[:1])
    return {name: InputShape(array.shape, array.dtype.name) for name, array in sample.items()}
