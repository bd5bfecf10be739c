"""The steps that a recipe may have, each with what it can be told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ..core.errors import UsageError
from ..passes.pruning.options import CRITERIA, PruneOptions
from ..training import DistillOptions, MutualOptions, TrainOptions
from ..training.healing import HealOptions
from .pruning import budget_of

if TYPE_CHECKING:
    from typing_extensions import Self

Name: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Share: TypeAlias = Annotated[float, Field(gt=0, lt=1)]
Count: TypeAlias = Annotated[int, Field(ge=1, le=1 << 31)]
Names: TypeAlias = Annotated[tuple[str, ...], Field(strict=False)]


class Part(BaseModel):
    """A part of a recipe: unknown keys, wrong types, NaN and infinities are refused; nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


_Options = TypeVar("_Options", bound=TrainOptions)


class _Step(Part):
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


class NetworkStep(_Training, ABC):
    """What every training of torch modules can be told; it leaves a network for each factory."""

    momentum: float | None = None
    warmup_ratio: float | None = None
    accumulate: int | None = None
    clip_norm: float | None = None
    tensorboard: bool | None = None

    @property
    @abstractmethod
    def factories(self) -> tuple[str, ...]:
        """``pkg.module:factory`` or ``file.py:factory`` of each network."""


class _OneNetwork(NetworkStep):
    source: str

    @property
    def factories(self) -> tuple[str, ...]:
        """The one that ``source`` names."""
        return (self.source,)


class TrainStep(_OneNetwork):
    """Train a torch module on the labels of ``data.train``.

    Attributes:
        source: ``pkg.module:factory`` or ``file.py:factory`` of the module.

    What is left out takes the default of :class:`~sardonyx.training.TrainOptions`, which explains each.
    """

    kind: Literal["train"]


class DistillStep(_OneNetwork):
    """Train a torch student to imitate a teacher.

    Attributes:
        source: ``pkg.module:factory`` or ``file.py:factory`` of the student.
        teacher: Name of an earlier network, of an earlier graph, an ``.onnx`` file, or ``file.py:factory`` together
            with ``teacher_weights``.
        teacher_weights: Weights of a teacher that no step trained.

    The others, and what is left out, are explained by :class:`~sardonyx.training.DistillOptions`.
    """

    kind: Literal["distill"]
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


class MutualStep(NetworkStep):
    """Train torch modules that teach each other on the labels of ``data.train``; none of them is a teacher.

    Attributes:
        sources: ``pkg.module:factory`` or ``file.py:factory`` of each, two or more. The first one's first weights come
            from the recipe's seed, the next one's from the seed after it, and so on: one factory may be named again.

    The others, and what is left out, are explained by :class:`~sardonyx.training.MutualOptions`.
    """

    kind: Literal["mutual"]
    sources: Annotated[tuple[str, ...], Field(strict=False, min_length=2)]
    temperature: float | None = None
    peer_weight: float | None = None

    @property
    def factories(self) -> tuple[str, ...]:
        """Those that ``sources`` names."""
        return self.sources

    def options(self, seed: int) -> MutualOptions:
        """What the training is asked for."""
        return self._as(MutualOptions, seed)


class ExportStep(_Step):
    """Export a torch module to ONNX and prove parity.

    Attributes:
        of: Name of an earlier network; that of the latest training step by default, if it made one only.
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

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            PruneOptions(**budget_of(self.model_dump()), granularity=self.granularity)
        except UsageError as error:
            raise ValueError(error.cause) from error
        return self


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
    TrainStep | DistillStep | MutualStep | ExportStep | PruneStep | HealStep | QuantizeStep | CompareStep,
    Field(discriminator="kind"),
]
"""One step of the chain."""

KINDS = frozenset({"train", "distill", "mutual", "export", "prune", "heal", "quantize", "compare"})
"""Every kind of step."""
