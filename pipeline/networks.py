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
from ..training import MutualReport, TrainReport
from .exporting import Exported, export
from .monitor import Monitor
from .samples import resolve_text
from .steps import DistillStep, ExportStep, MutualStep, NetworkStep
from .workspace import file_sha256

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = "weights.safetensors"
"""The file of a network's weights."""


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
    train: CalibrationData
    evaluation: CalibrationData
    seed: int
    monitor: Monitor

    def teach(
        self, step: NetworkStep, teacher: Teacher | None, checkpoints: Path, folder: Path
    ) -> TrainReport | MutualReport:
        """Train the networks of a step, going on from a checkpoint if there is one, and write the weights of each.

        Args:
            step: What to train, and how.
            teacher: Who teaches a ``distill`` step.
            checkpoints: The folder of checkpoints.
            folder: The folder of the weights.
        """
        from ..training import distill, distill_mutually, train_supervised

        first, *others = [self._fresh(source, self.seed + i) for i, source in enumerate(step.factories)]
        samples = self.train, self.evaluation
        report: TrainReport | MutualReport
        with self.monitor.progress("training") as progress:
            words: Any = {"checkpoint": checkpoint_in(checkpoints), "resume": True, "progress": progress}
            if isinstance(step, MutualStep):
                report = distill_mutually([first, *others], *samples, step.options(self.seed), **words)
            elif isinstance(step, DistillStep):
                assert teacher is not None
                master = teacher.load(self.base)
                report = distill(first, master, *samples, step.options(self.seed), **words)
            else:
                report = train_supervised(first, *samples, step.options(self.seed), **words)
        for name in weights_files(step):
            write_atomic(folder / name, (checkpoints / name).read_bytes())
        return report

    def _fresh(self, source: str, seed: int) -> nn.Module:
        """A module whose first weights come from a seed."""
        from ..exporter import load_factory
        from ..training import make_module

        return make_module(load_factory(resolve_text(source, self.base)), seed)


def weights_files(step: NetworkStep) -> tuple[str, ...]:
    """The names of the files of a training step's weights, one for each network."""
    if len(step.factories) == 1:
        return (WEIGHTS,)
    from ..training import peer_path

    return tuple(peer_path(Path(WEIGHTS), number).name for number in range(1, len(step.factories) + 1))


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
    return folder / WEIGHTS


def _shapes_of(data: CalibrationData | None) -> dict[str, InputShape]:
    assert data is not None
    sample = data.source.read(data.indices[:1])
    return {name: InputShape(array.shape, array.dtype.name) for name, array in sample.items()}
