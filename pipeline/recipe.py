"""The recipe: a chain of steps in TOML, refused with the place of what is wrong in it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ..core.errors import RecipeError, UsageError
from ..passes.pruning.options import CRITERIA
from ..training import DistillOptions, TrainOptions
from ..training.healing import HealOptions

if TYPE_CHECKING:
    from typing_extensions import Self

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_RECIPE_BYTES = 1 << 20
"""A longer recipe is refused before it is parsed."""

Name: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Share: TypeAlias = Annotated[float, Field(gt=0, lt=1)]
Count: TypeAlias = Annotated[int, Field(ge=1, le=1 << 31)]
Names: TypeAlias = Annotated[tuple[str, ...], Field(strict=False)]


class _Part(BaseModel):
    """A part of a recipe: unknown keys, wrong types, NaN and infinities are refused; nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataPart(_Part):
    """Where samples come from, each in the words of ``DATA``.

    Attributes:
        train: Samples to train and distil on.
        calibration: Samples to prune and quantize with.
        evaluation: Samples with labels that say how good a model is.
        metric: What is measured on them: ``top1``, ``cosine``, ``sqnr`` or ``file.py:function``.
        root: Folder of the data set's files, where it is not in its usual place.
        preprocess: How a folder of images becomes arrays.
    """

    train: str | None = None
    calibration: str | None = None
    evaluation: str | None = None
    metric: str = "top1"
    root: str | None = None
    preprocess: str | None = None


_Options = TypeVar("_Options", bound=TrainOptions)


class _Step(_Part):
    name: Name | None = None


class _Training(_Step):
    """What every training can be told; what is left out takes the default of its options, which explain each."""

    epochs: int | None = None
    batch_size: int | None = None
    optimizer: Literal["sgd", "adamw"] | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    schedule: Literal["one-cycle", "cosine", "constant"] | None = None
    label_smoothing: float | None = None
    flip: bool | None = None
    shift: int | None = None
    erase: float | None = None
    validation_ratio: float | None = None
    precision: Literal["auto", "fp32", "bf16", "fp16"] | None = None
    patience: int | None = None

    def options(self, seed: int) -> TrainOptions:
        """What the training is asked for."""
        return self._as(TrainOptions, seed)

    def _as(self, kind: type[_Options], seed: int) -> _Options:
        own = {f.name for f in fields(kind)}
        given = self.model_dump(exclude_none=True)
        return kind(**{key: value for key, value in given.items() if key in own}, seed=seed)

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            self.options(0)
        except UsageError as error:
            raise ValueError(error.cause) from error
        return self


class TrainStep(_Training):
    """Train a torch module on the labels of ``data.train``.

    Attributes:
        source: ``pkg.module:factory`` or ``file.py:factory`` of the module.

    What is left out takes the default of :class:`~sardonyx.training.TrainOptions`, which explains each.
    """

    kind: Literal["train"]
    source: str
    momentum: float | None = None
    warmup_ratio: float | None = None
    accumulate: int | None = None
    clip_norm: float | None = None
    tensorboard: bool | None = None


class DistillStep(TrainStep):
    """Train a torch student to imitate a teacher.

    Attributes:
        teacher: Name of an earlier step that trained it or made it as a graph, an ``.onnx`` file, or
            ``file.py:factory`` together with ``teacher_weights``.
        teacher_weights: Weights of a teacher that no step trained.

    The others, and what is left out, are explained by :class:`~sardonyx.training.DistillOptions`.
    """

    kind: Literal["distill"]  # type: ignore[assignment]
    teacher: str
    teacher_weights: str | None = None
    task: Literal["classification", "regression", "embedding"] | None = None
    response: Literal["auto", "kl", "mse", "cosine"] | None = None
    temperature: float | None = None
    teacher_weight: float | None = None
    pairs: str | None = None
    feature_weight: float | None = None
    feature_loss: Literal["mse", "cosine", "attention"] | None = None
    adapter: Literal["auto", "regressor", "pool"] | None = None
    distance_weight: float | None = None
    angle_weight: float | None = None
    cache: bool | None = None

    @property
    def has_graph_file(self) -> bool:
        """Whether the teacher is an ``.onnx`` file."""
        return self.teacher_weights is None and self.teacher.endswith(".onnx")

    def options(self, seed: int) -> DistillOptions:
        """What the distillation is asked for."""
        return self._as(DistillOptions, seed)


class ExportStep(_Step):
    """Export a torch module to ONNX and prove parity.

    Attributes:
        of: Name of the step that trained it; the latest one by default.
        source: ``file.py:factory`` of a module that no step trained.
        weights: Its weights.
        input: Inputs, as ``name=1x3x224x224``; by default one sample of the data.
        dynamic: Dynamic axes, as ``name:0``; by default the first axis of every input.
    """

    kind: Literal["export"]
    of: str | None = None
    source: str | None = None
    weights: str | None = None
    input: Names = ()
    dynamic: Names | None = None


class _GraphStep(_Step):
    of: str | None = None
    exclude: Names = ()


class PruneStep(_GraphStep):
    """Cut neurons out of the latest model, or the one that ``of`` names.

    Attributes:
        params: Share of the parameters that stays.
        macs: Share of the multiply-accumulates that stays.
        bytes: Share of the stored bytes that stays.
        latency: Share of the time that stays, measured.
        ratio: Share of the neurons cut, in each group.
        batch: Batch size that ``latency`` is timed at.
        threads: Threads that it is timed with; 0 leaves it to ONNX Runtime.
        criterion: One of :data:`~sardonyx.passes.pruning.CRITERIA`, or ``file.py:function``.
        scope: ``global`` lets groups compete, ``local`` cuts all alike, ``isomorphic`` those of one kind.
        align: Widths are kept at multiples of this; ``auto`` takes the target's.
        granularity: ``structured``, ``unstructured``, or ``n:m`` such as ``2:4``.
        compensate: Whether what is left is repaired in closed form.
        approximate: Whether neurons may go over which a LayerNormalization or a mean runs.
        min_width: Fewest neurons that a group keeps.
        steps: Rounds of collecting, cutting and repairing.
        max_error: How far the outputs on held-out samples may go, as a share of their variance.
    """

    kind: Literal["prune"]
    params: Share | None = None
    macs: Share | None = None
    bytes: Share | None = None
    latency: Share | None = None
    ratio: Share | None = None
    batch: Count = 1
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    criterion: str = "second-order"
    scope: Literal["global", "local", "isomorphic"] = "global"
    align: Literal["auto"] | Count = "auto"
    granularity: str = "structured"
    compensate: bool = True
    approximate: bool = False
    min_width: Count = 1
    steps: Count = 6
    max_error: Annotated[float, Field(gt=0)] | None = None

    @field_validator("criterion")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in CRITERIA and ".py:" not in name:
            raise ValueError(f"choose one of {', '.join(CRITERIA)}, or file.py:function")
        return name


class QuantizeStep(_GraphStep):
    """Quantize the latest model, or the one that ``of`` names.

    Attributes:
        precision: ``int8`` from samples where left out; ``dynamic``, ``float16`` or ``mixed``.
        method: How the range of an activation is chosen.
        activations: Integer type of activations; the target's habit where left out.
        weight_bits: 8, or 4.
        textbook: Symmetric int8 as it is taught, in [-127, 127] (``narrow``) or [-128, 127] (``full``).
        tools: What is tried for accuracy, and kept where it helps.
        symmetric: Whether activations are symmetric about zero (zero-point 128 in uint8); the target's habit
            where left out.
        per_channel: Whether weights have one scale for each output channel; they do where left out.
        max_drop: How much of the metric may be lost on ``data.evaluation``.
        weight_only: Only the weights of matrix products, in blocks.
        block: Weights that share one scale of these.
        rounding: How these are rounded.
        memory: Cap on what calibration holds at once, in bytes.
    """

    kind: Literal["quantize"]
    precision: Literal["int8", "dynamic", "float16", "mixed"] | None = None
    method: Literal["minmax", "moving-average", "percentile", "entropy", "mse", "auto"] | None = None
    activations: Literal["uint8", "int8", "uint16", "int16"] | None = None
    weight_bits: Literal[4, 8] | None = None
    textbook: Literal["narrow", "full"] | None = None
    tools: Names = ()
    symmetric: bool | None = None
    per_channel: bool | None = None
    max_drop: Annotated[float, Field(ge=0, le=1)] | None = None
    weight_only: Literal["int4", "int8"] | None = None
    block: Count | None = None
    rounding: Literal["nearest", "gptq", "hqq"] | None = None
    memory: Count | None = None


class HealStep(_Training, _GraphStep):
    """Train the latest model, or the one that ``of`` names, to answer as the one that it was made from.

    Attributes:
        teacher: Name of the model that it was made from: a step, or ``model``.
        limit: Most samples of ``data.train`` to learn from.
        qat: Whether it is trained with the rounding of the target, and comes out quantized.
        weight_bits: Bits of a weight with ``qat``.
        tools: What ``qat`` tries before it trains.

    The others, and what is left out, are explained by :class:`~sardonyx.training.healing.HealOptions`.
    """

    kind: Literal["heal"]
    teacher: str
    loss: Literal["auto", "kl", "mse", "cosine"] | None = None
    temperature: float | None = None
    label_weight: float | None = None
    features: int | None = None
    feature_weight: float | None = None
    limit: Annotated[int, Field(ge=2)] | None = None
    qat: bool = False
    weight_bits: Literal[4, 8] | None = None
    tools: Names = ()

    def options(self, seed: int) -> HealOptions:
        """What the healing is asked for."""
        return self._as(HealOptions, seed)

    @model_validator(mode="after")
    def _check_rounding(self) -> HealStep:
        if not self.qat and (self.weight_bits or self.tools or self.exclude):
            raise ValueError("weight_bits, tools and exclude need qat = true")
        return self


class CompareStep(_Step):
    """Measure models side by side: all of the chain, or those that ``of`` names."""

    kind: Literal["compare"]
    of: Names = ()
    provider: str = "cpu"
    batches: Annotated[tuple[Count, ...], Field(strict=False, min_length=1)] = (1, 32)
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    rounds: Count | None = None


Step: TypeAlias = Annotated[
    TrainStep | DistillStep | ExportStep | PruneStep | HealStep | QuantizeStep | CompareStep,
    Field(discriminator="kind"),
]
"""One step of the chain."""


class Recipe(_Part):
    """A chain of steps.

    Attributes:
        name: What the run is called in its report.
        seed: Seed of every random choice.
        target: What the models are made for.
        model: An ``.onnx`` file that the chain starts from.
        data: The samples.
        steps: The steps, in order.
    """

    name: str = "run"
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = 0
    target: str = "auto"
    model: str | None = None
    data: DataPart = DataPart()
    steps: Annotated[tuple[Step, ...], Field(strict=False, min_length=1)]


def read_recipe(
    path: str | Path, overrides: Mapping[str, Any] | None = None, *, settings: Sequence[str] = ()
) -> Recipe:
    """Read a recipe file.

    Args:
        path: The TOML file.
        overrides: Top-level keys that replace what the file says.
        settings: Any other keys, as ``steps.2.params=0.4``; steps count from 0.

    Raises:
        RecipeError: The file is missing, is no TOML, or says something that a recipe cannot say; the error names
            the place.
        UsageError: A setting cannot be read, or names a place that the recipe does not have.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_RECIPE_BYTES + 1)
    except OSError as error:
        raise RecipeError(
            f"cannot read the recipe {path}: {error.strerror or error}", remedy="name a TOML file that exists"
        ) from error
    if len(content) > MAX_RECIPE_BYTES:
        raise RecipeError(f"{path} is longer than {MAX_RECIPE_BYTES} bytes", remedy="name a recipe")
    try:
        parsed = tomllib.loads(content.decode("utf8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{path} is not TOML: {error}", remedy="mend the file at the place named"
        ) from error
    except RecursionError as error:
        raise RecipeError(f"{path} is nested too deeply", remedy="a recipe has two levels") from error
    for setting in settings:
        _apply(parsed, setting)
    return parse_recipe({**parsed, **(overrides or {})}, origin=str(path))


def parse_recipe(content: Mapping[str, Any], origin: str = "recipe") -> Recipe:
    """Check a recipe that is already a mapping.

    Raises:
        RecipeError: It says something that a recipe cannot say; the error names the place.
    """
    try:
        recipe = Recipe.model_validate(dict(content))
    except ValidationError as error:
        raise _refusal(error, content, origin) from None
    check_names(recipe, origin)
    return recipe


def _apply(content: dict[str, Any], setting: str) -> None:
    """Put one ``key=value`` into a parsed recipe; the value is TOML, or else plain text."""
    key, equals, text = setting.partition("=")
    if not key or not equals:
        raise UsageError(
            f"setting {setting!r} is no KEY=VALUE", remedy="write for instance steps.2.params=0.4"
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = key.split(".")
    place: Any = content
    for part in parents:
        place = _inside(place, part, key)
    if isinstance(place, list):
        _inside(place, last, key)
        place[int(last)] = value
    else:
        place[last] = value


def _inside(place: Any, part: str, key: str) -> Any:
    if isinstance(place, dict):
        return place.setdefault(part, {})
    if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
        return place[int(part)]
    raise UsageError(f"the recipe has no place {key!r}", remedy="steps count from 0, as in steps.0.epochs=3")


def step_names(recipe: Recipe) -> tuple[str, ...]:
    """A name for every step: its own, or its kind, numbered where several share it."""
    names: list[str] = []
    for step in recipe.steps:
        name = step.name or step.kind
        same = sum(1 for other in names if other == name or other.rpartition("-")[0] == name)
        names.append(name if step.name or not same else f"{name}-{same + 1}")
    return tuple(names)


def check_names(recipe: Recipe, origin: str) -> None:
    """Refuse names that clash, and references to steps that are not there before.

    Raises:
        RecipeError: With the place.
    """
    names = step_names(recipe)
    seen: dict[str, str] = {"model": "model"} if recipe.model is not None else {}
    for index, (step, name) in enumerate(zip(recipe.steps, names, strict=True)):
        place = f"{origin}: steps.{index}"
        if name in seen:
            raise RecipeError(f"{place}.name: {name!r} is taken", remedy="give each step a name of its own")
        for key, wanted, kinds in _references(step):
            if wanted not in seen or seen[wanted] not in kinds:
                there = [n for n, kind in seen.items() if kind in kinds]
                raise RecipeError(
                    f"{place}.{key}: no earlier step {wanted!r} makes what {step.kind} takes",
                    remedy=f"name one of: {', '.join(there) or 'none is there before this step'}",
                )
        seen[name] = step.kind


_NETWORKS = frozenset({"train", "distill"})
_GRAPHS = frozenset({"model", "export", "prune", "heal", "quantize"})


def _references(step: Step) -> list[tuple[str, str, frozenset[str]]]:
    """What a step names: the key, the name, and the kinds of step that may bear it."""
    match step:
        case DistillStep(teacher_weights=None, has_graph_file=False):
            return [("teacher", step.teacher, _NETWORKS | _GRAPHS)]
        case ExportStep(of=str(name)):
            return [("of", name, _NETWORKS)]
        case HealStep():
            named = [] if step.of is None else [("of", step.of, _GRAPHS)]
            return [("teacher", step.teacher, _GRAPHS), *named]
        case PruneStep(of=str(name)) | QuantizeStep(of=str(name)):
            return [("of", name, _GRAPHS)]
        case CompareStep():
            return [("of", name, _GRAPHS) for name in step.of]
    return []


_KINDS = frozenset({"train", "distill", "export", "prune", "heal", "quantize", "compare"})


def _refusal(error: ValidationError, content: Mapping[str, Any], origin: str) -> RecipeError:
    """The first complaint of pydantic as one line, with its place in the file."""
    first, *others = error.errors(include_url=False, include_context=False)
    place = ".".join(_place(first["loc"]))
    more = f" (and {len(others)} more)" if others else ""
    if first["type"] == "extra_forbidden":
        return RecipeError(
            f"{origin}: {place}: unknown key{more}",
            remedy="remove it or correct its spelling; see docs/recipe.md",
        )
    shown = repr(first["input"])
    shown = shown if len(shown) <= 60 else f"{shown[:59]}…"
    text = first["msg"][:1].lower() + first["msg"][1:]
    detail = "" if first["type"] == "missing" else f", not {shown}"
    return RecipeError(
        f"{origin}: {place}: {text}{detail}{more}", remedy="correct the value at the place named"
    )


def _place(location: Sequence[int | str]) -> list[str]:
    """The path of a value in the file; the kind that pydantic puts behind a step's number is left out."""
    return [
        str(part)
        for i, part in enumerate(location)
        if not (i >= 2 and location[0] == "steps" and i == 2 and part in _KINDS)
    ]
