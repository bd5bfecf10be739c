"""The steps of a recipe as jobs: what decides the result, and the work itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..core import ModelArtifact
from ..core.errors import RecipeError, UsageError
from ..core.targets import get_target
from ..passes.pruning.options import WITHOUT_SAMPLES
from ..passes.quantization import QuantizeOptions
from .healing import heal
from .measurement import compare
from .monitor import Monitor
from .names import network_names
from .networks import (
    GraphTeacher,
    Network,
    School,
    Teacher,
    checkpoint_in,
    describe_source,
    export_network,
    weights_files,
)
from .opening import open_model
from .profiling import profile
from .pruning import prune
from .qat import heal_quantized
from .quantization import quantize
from .recipe import Recipe
from .samples import Samples, resolve
from .steps import (
    CompareStep,
    DistillStep,
    ExportStep,
    HealStep,
    NetworkStep,
    PruneStep,
    QuantizeStep,
    Step,
)
from .workspace import StepRecord

if TYPE_CHECKING:
    from ..calib_data import CalibrationData
    from ..passes.quantization.options import Tool
    from ..runtime import ProfileReport

MODEL = "model.onnx"

_CHANGED = 24
"""Samples that are answered differently, shown in the report."""


@dataclass(frozen=True)
class Job:
    """One step, ready to be done.

    Attributes:
        inputs: What decides the result besides the step's own words.
        work: Fills the step's folder, with a folder for checkpoints that outlives a killed run, and returns
            figures.
    """

    inputs: Mapping[str, Any]
    work: Callable[[Path, Path], Any]


@dataclass
class Chain:
    """What the steps so far have made.

    Attributes:
        recipe: The recipe.
        base: The folder that its paths are relative to.
        samples: Its samples.
        monitor: Is told how work goes on.
        networks: Torch modules with weights, by the name that steps call them by.
        graphs: ONNX models, by the step's name; ``model`` is what the recipe starts from.
    """

    recipe: Recipe
    base: Path
    samples: Samples
    monitor: Monitor
    networks: dict[str, Network] = field(default_factory=dict)
    graphs: dict[str, ModelArtifact] = field(default_factory=dict)

    @classmethod
    def start(cls, recipe: Recipe, base: Path, monitor: Monitor) -> Chain:
        """The chain before its first step; opens the model that the recipe starts from."""
        chain = cls(recipe, base, Samples(recipe, base), monitor)
        if recipe.model is not None:
            chain.graphs["model"] = open_model(resolve(recipe.model, base))
        return chain

    def job(self, step: Step, name: str) -> Job:
        """What a step will do, given the steps before it.

        Raises:
            RecipeError: The step needs something that is not there.
        """
        match step:
            case NetworkStep():
                return _train(self, step, name)
            case ExportStep():
                return _export(self, step, name)
            case PruneStep():
                return _prune(self, step, name)
            case HealStep():
                return _heal(self, step, name)
            case QuantizeStep():
                return _quantize(self, step, name)
            case CompareStep():
                return _compare(self, step, name)

    def take(self, step: Step, record: StepRecord) -> None:
        """Make what a finished step left behind available to the steps after it."""
        if isinstance(step, NetworkStep):
            names = network_names(record.name, len(step.factories))
            for name, source, file in zip(names, step.factories, weights_files(step), strict=True):
                self.networks[name] = Network(source, record.folder / file)
        elif MODEL in record.outputs:
            self.graphs[record.name] = open_model(record.folder / MODEL)

    def source(self, wanted: str | None, name: str) -> str:
        """The name of the model that a step works on: the one it names, or the latest."""
        if wanted is not None:
            return wanted
        if not self.graphs:
            raise RecipeError(
                f"step {name!r} has no model to work on",
                remedy='put an export step before it, or start the recipe with model = "model.onnx"',
            )
        return next(reversed(self.graphs))


def _train(chain: Chain, step: NetworkStep, name: str) -> Job:
    train, judge = chain.samples.get("train", name), chain.samples.get("evaluation", name)
    teacher = _teacher(chain, step) if isinstance(step, DistillStep) else None
    inputs = {
        "sources": [describe_source(source, chain.base) for source in step.factories],
        "teacher": teacher and teacher.identity(chain.base),
        "train": train.fingerprint,
        "evaluation": judge.fingerprint,
        "seed": chain.recipe.seed,
    }

    def work(folder: Path, checkpoints: Path) -> Any:
        school = School(chain.base, train, judge, chain.recipe.seed, chain.monitor)
        return {"report": school.teach(step, teacher, checkpoints, folder)}

    return Job(inputs, work)


def _teacher(chain: Chain, step: DistillStep) -> Teacher:
    """The network or graph that a step names: made by an earlier step, or read from files."""
    if step.teacher_weights is not None:
        return Network(step.teacher, resolve(step.teacher_weights, chain.base))
    if step.has_graph_file:
        return GraphTeacher(open_model(resolve(step.teacher, chain.base)))
    return chain.networks.get(step.teacher) or GraphTeacher(chain.graphs[step.teacher])


def _export(chain: Chain, step: ExportStep, name: str) -> Job:
    network = _network_of(chain, step, name)
    source = describe_source(network.source, chain.base)
    inputs: dict[str, Any] = {"source": source, "weights": network.weights_sha256}
    data = None
    if not step.input:
        role = next(
            (r for r in ("calibration", "evaluation", "train") if chain.samples.has(r)), "calibration"
        )
        data = chain.samples.get(role, name)
        inputs["sample"] = {
            n: [a.dtype.str, a.shape[1:]] for n, a in data.source.read(data.indices[:1]).items()
        }

    def work(folder: Path, checkpoints: Path) -> Any:
        result = export_network(step, network, chain.base, data, chain.recipe.seed, chain.monitor)
        result.model.save(folder / MODEL)
        return {"report": result.report}

    return Job({**inputs, "seed": chain.recipe.seed}, work)


def _network_of(chain: Chain, step: ExportStep, name: str) -> Network:
    if step.of is not None:
        return chain.networks[step.of]
    if step.source is not None:
        return Network(step.source, None if step.weights is None else resolve(step.weights, chain.base))
    if not chain.networks:
        raise RecipeError(
            f"step {name!r} has no module to export",
            remedy='add source = "models.py:factory", or a train step before',
        )
    return next(reversed(chain.networks.values()))


def _prune(chain: Chain, step: PruneStep, name: str) -> Job:
    source = chain.source(step.of, name)
    model = chain.graphs[source]
    needs_data = step.criterion not in WITHOUT_SAMPLES or step.compensate or chain.samples.has("calibration")
    data = chain.samples.get("calibration", name) if needs_data else None
    target = get_target(chain.recipe.target)
    inputs: dict[str, Any] = {
        "model": model.sha256,
        "calibration": data and data.fingerprint,
        "target": target,
    }
    criterion = in_base(step.criterion, chain.base)
    if criterion != step.criterion:
        inputs["criterion"] = describe_source(step.criterion, chain.base)

    def work(folder: Path, checkpoints: Path) -> Any:
        words = {**step.model_dump(exclude={"kind", "name", "of"}), "criterion": criterion}
        result = prune(model, data, target=target, seed=chain.recipe.seed, monitor=chain.monitor, **words)
        result.save(folder / MODEL)
        return {"source": source, **result.summary()}

    return Job({**inputs, "seed": chain.recipe.seed}, work)


def _heal(chain: Chain, step: HealStep, name: str) -> Job:
    source = chain.source(step.of, name)
    model, teacher = chain.graphs[source], chain.graphs[step.teacher]
    data, judge = chain.samples.get("train", name), chain.samples.get("evaluation", name)
    inputs = {
        "model": model.sha256,
        "teacher": teacher.sha256,
        "train": data.fingerprint,
        "evaluation": judge.fingerprint,
        "target": get_target(chain.recipe.target) if step.qat else None,
        "seed": chain.recipe.seed,
    }

    def work(folder: Path, checkpoints: Path) -> Any:
        words: dict[str, Any] = {
            "options": step.options(chain.recipe.seed),
            "evaluation": judge,
            "limit": step.limit,
            "checkpoint": checkpoint_in(checkpoints),
            "resume": True,
            "monitor": chain.monitor,
        }
        if step.qat:
            rounding = QuantizeOptions(
                weight_bits=step.weight_bits or 8,
                tools=cast("tuple[Tool, ...]", step.tools),
                exclude=step.exclude,
                seed=chain.recipe.seed,
            )
            target = get_target(chain.recipe.target)
            result = heal_quantized(model, teacher, data, target=target, quantize=rounding, **words)
        else:
            result = heal(model, teacher, data, **words)
        result.save(folder / MODEL)
        return {"source": source, **result.summary()}

    return Job(inputs, work)


def _quantize(chain: Chain, step: QuantizeStep, name: str) -> Job:
    source = chain.source(step.of, name)
    model = chain.graphs[source]
    data = None if step.weight_only else chain.samples.get("calibration", name)
    judged = None if step.max_drop is None else chain.samples.get("evaluation", name)
    target = get_target(chain.recipe.target)
    inputs = {
        "model": model.sha256,
        "calibration": data and data.fingerprint,
        "evaluation": judged and [judged.fingerprint, chain.recipe.data.metric],
        "target": target,
        "seed": chain.recipe.seed,
    }

    def work(folder: Path, checkpoints: Path) -> Any:
        words = step.model_dump(exclude={"kind", "name", "of"})
        result = quantize(
            model,
            data,
            target=target,
            evaluation=judged,
            metric=metric_of(chain),
            seed=chain.recipe.seed,
            monitor=chain.monitor,
            **words,
        )
        result.save(folder / MODEL)
        return {"source": source, **result.summary()}

    return Job(inputs, work)


def _compare(chain: Chain, step: CompareStep, name: str) -> Job:
    chosen = {n: chain.graphs[n] for n in step.of} if step.of else dict(chain.graphs)
    if not chosen:
        chain.source(None, name)
    data = chain.samples.get("evaluation", name)
    inputs = {
        "models": {n: m.sha256 for n, m in chosen.items()},
        "evaluation": data.fingerprint,
        "metric": chain.recipe.data.metric,
        "seed": chain.recipe.seed,
    }

    metric = metric_of(chain)

    def work(folder: Path, checkpoints: Path) -> Any:
        report = compare(
            chosen,
            data,
            metric,
            provider=step.provider,
            batches=step.batches,
            threads=step.threads,
            rounds=step.rounds,
            seed=chain.recipe.seed,
            monitor=chain.monitor,
            changed=_CHANGED if metric == "top1" else 0,
        )
        return {"comparison": report, "profile": _profile(chain, step, chosen, data)}

    return Job(inputs, work)


def _profile(
    chain: Chain, step: CompareStep, chosen: Mapping[str, ModelArtifact], data: CalibrationData
) -> ProfileReport | None:
    """Where the time goes in the first model and in the last; None where they do not run as they are compared."""
    names = dict.fromkeys((*list(chosen)[:1], *list(chosen)[-1:]))
    try:
        return profile(
            {name: chosen[name] for name in names},
            data,
            batch=step.batches[0],
            threads=step.threads,
            provider=step.provider,
            seed=chain.recipe.seed,
            monitor=chain.monitor,
        )
    except UsageError as error:
        chain.monitor.note(f"no profile: {error.cause}")
        return None


def metric_of(chain: Chain) -> str:
    """The recipe's metric, with the path of a function's file made whole."""
    return in_base(chain.recipe.data.metric, chain.base)


def in_base(text: str, base: Path) -> str:
    """A name as it is; ``file.py:function`` with the path of the file made whole."""
    place, colon, function = text.rpartition(":")
    return f"{resolve(place, base)}{colon}{function}" if place.endswith(".py") else text
