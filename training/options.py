"""What a training is asked for: scalar fields only, so that a recipe can hold them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..core.errors import UsageError
from .schedule import SCHEDULES, Schedule

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Optimizer = Literal["sgd", "adamw"]
Task = Literal["classification", "regression", "embedding"]
Response = Literal["auto", "kl", "mse", "cosine"]
FeatureLoss = Literal["mse", "cosine", "attention"]
Adapter = Literal["auto", "regressor", "pool"]

PRECISIONS: tuple[Precision, ...] = ("auto", "fp32", "bf16", "fp16")
OPTIMIZERS: tuple[Optimizer, ...] = ("sgd", "adamw")
TASKS: tuple[Task, ...] = ("classification", "regression", "embedding")
RESPONSES: tuple[Response, ...] = ("auto", "kl", "mse", "cosine")
FEATURE_LOSSES: tuple[FeatureLoss, ...] = ("mse", "cosine", "attention")
ADAPTERS: tuple[Adapter, ...] = ("auto", "regressor", "pool")

_RESPONSE_OF: dict[Task, Response] = {"classification": "kl", "regression": "mse", "embedding": "cosine"}


@dataclass(frozen=True)
class TrainOptions:
    """How a module is trained.

    Attributes:
        epochs: Passes over the training samples.
        batch_size: Samples in one step, over all processes together.
        optimizer: ``sgd`` (with Nesterov momentum) or ``adamw``.
        learning_rate: The largest rate of the schedule.
        momentum: Of ``sgd``; the first moment's decay of ``adamw``.
        weight_decay: On weights of two and more dimensions; biases and normalisation go without.
        schedule: ``one-cycle``, ``cosine`` or ``constant``.
        warmup_ratio: Share of the steps in which the rate of ``one-cycle`` rises.
        label_smoothing: Share of the label's weight that is spread over all classes.
        flip: Whether images are mirrored left to right, half of the time.
        shift: Most pixels by which an image is moved in each direction.
        erase: Share of the images of which a square is blanked.
        validation_ratio: Share of the training samples held out to choose the best epoch.
        precision: ``fp32``, ``bf16`` or ``fp16`` (matrix products in bfloat16 or float16, the latter with a scaled
            loss), or ``auto``: bf16 where the hardware multiplies it.
        accumulate: Parts in which the samples of a step are computed, one after the other: less memory, and but for
            batch statistics the same gradient.
        clip_norm: The gradient's largest norm; 0 leaves it as it is.
        patience: Epochs without a better one on held-out samples after which training ends; 0 never ends it.
        tensorboard: Whether the curves are also written for TensorBoard, beside the checkpoint.
        seed: Of the split, the order, the augmentation and dropout.
    """

    epochs: int = 8
    batch_size: int = 128
    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Schedule = "one-cycle"
    warmup_ratio: float = 0.25
    label_smoothing: float = 0.0
    flip: bool = False
    shift: int = 0
    erase: float = 0.0
    validation_ratio: float = 0.05
    precision: Precision = "auto"
    accumulate: int = 1
    clip_norm: float = 0.0
    patience: int = 0
    tensorboard: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        _at_least(self, 1, "epochs", "batch_size", "accumulate")
        _at_least(self, 0, "learning_rate", "weight_decay", "shift", "clip_norm", "patience", "seed")
        _shares(self, "momentum", "warmup_ratio", "label_smoothing", "erase", "validation_ratio")
        _known(self, (("schedule", SCHEDULES), ("precision", PRECISIONS), ("optimizer", OPTIMIZERS)))
        if self.validation_ratio == 0:
            raise UsageError(
                "no training samples are held out", remedy="give a validation_ratio above 0, such as 0.05"
            )


@dataclass(frozen=True)
class DistillOptions(TrainOptions):
    """How a student is taught by a teacher.

    The loss is ``teacher_weight * response + (1 - teacher_weight) * labels``, to which the comparisons of layers and
    of relations are added with weights of their own.

    Attributes:
        task: What the outputs are. ``classification``: logits; the labels' term is the cross-entropy.
            ``regression``: numbers; it is the squared error. ``embedding``: vectors without labels, of which the
            teacher's term is all.
        response: How the outputs are compared: ``kl`` (Hinton et al. 2015, arXiv:1503.02531; logits only), ``mse``,
            ``cosine``, or ``auto``: ``kl`` for logits, ``mse`` for numbers, ``cosine`` for embeddings.
        temperature: Divides the logits of both before ``kl`` compares them.
        teacher_weight: Weight of the comparison with the teacher; the labels have the rest. 1 needs no labels,
            0 leaves the teacher's outputs out.
        pairs: Layers that are compared, ``student:teacher`` with blanks between, by the names of modules (of values,
            where the teacher is a graph); ``auto`` pairs the last layers of equal size; empty compares none.
        feature_weight: Weight of the layers' comparison, the mean over the pairs.
        feature_loss: ``mse`` (Romero et al. 2014, arXiv:1412.6550), ``cosine`` of the flattened values, or
            ``attention``: where the layer is active, whatever its width (Zagoruyko & Komodakis 2016,
            arXiv:1612.03928); its maps are of length 1, so that weights of 100 and more are usual.
        adapter: What meets unequal widths: ``regressor`` (a 1x1 convolution or linear layer behind the student's,
            trained along and not kept), ``pool`` (the flattened teacher's values are averaged down), or ``auto``:
            a regressor for ``mse``, averages for ``cosine``.
        distance_weight: Weight of the distances between samples (Park et al. 2019, arXiv:1904.05068), taken at the
            last pair of layers, or at the outputs where there is none.
        angle_weight: Weight of the angles between samples, at the same place.
        cache: Whether the teacher's answers are computed once and kept on disk, where that pays: nothing is augmented,
            there is more than one epoch, and they take at most a gibibyte.
    """

    task: Task = "classification"
    response: Response = "auto"
    temperature: float = 4.0
    teacher_weight: float = 0.9
    pairs: str = ""
    feature_weight: float = 0.0
    feature_loss: FeatureLoss = "mse"
    adapter: Adapter = "auto"
    distance_weight: float = 0.0
    angle_weight: float = 0.0
    cache: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(self, 0, "feature_weight", "distance_weight", "angle_weight")
        known = (
            ("task", TASKS),
            ("response", RESPONSES),
            ("feature_loss", FEATURE_LOSSES),
            ("adapter", ADAPTERS),
        )
        _known(self, known)
        if not self.temperature > 0:
            raise UsageError(f"temperature {self.temperature}", remedy="give a temperature above 0")
        if not 0 <= self.teacher_weight <= 1:
            raise UsageError(f"teacher_weight {self.teacher_weight}", remedy="give a weight from 0 to 1")
        if self.response == "kl" and self.task != "classification":
            raise UsageError(
                f'response "kl" compares logits, and the task is {self.task}', remedy="choose mse or cosine"
            )
        if self.feature_weight and not self.pairs.split():
            raise UsageError(
                "feature_weight is given, and no pairs of layers", remedy='give pairs, or pairs = "auto"'
            )
        if self.pairs.split() and not (self.feature_weight or self.distance_weight or self.angle_weight):
            raise UsageError(
                "pairs of layers are given, and nothing that compares them",
                remedy="give a feature_weight, distance_weight or angle_weight above 0",
            )

    @property
    def compared_by(self) -> Response:
        """How the outputs are compared, ``auto`` resolved."""
        return _RESPONSE_OF[self.task] if self.response == "auto" else self.response

    @property
    def needs_labels(self) -> bool:
        """Whether the labels have a weight in the loss."""
        return self.task != "embedding" and self.teacher_weight < 1

    @property
    def has_pairs(self) -> bool:
        """Whether layers are compared."""
        return bool(self.pairs.split())


@dataclass(frozen=True)
class MutualOptions(TrainOptions):
    """How networks teach each other (Zhang et al. 2018, arXiv:1706.00384).

    Attributes:
        temperature: Divides the logits before they are compared.
        peer_weight: Weight of the comparison with the others, the mean over them; the labels have 1.
    """

    temperature: float = 1.0
    peer_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(self, 0, "peer_weight")
        if not self.temperature > 0:
            raise UsageError(f"temperature {self.temperature}", remedy="give a temperature above 0")


def _known(options: TrainOptions, words: Iterable[tuple[str, tuple[str, ...]]]) -> None:
    for name, known in words:
        if getattr(options, name) not in known:
            raise UsageError(f"{name} {getattr(options, name)!r}", remedy=f"choose one of {', '.join(known)}")


def _at_least(options: TrainOptions, least: int, *names: str) -> None:
    for name in names:
        if not getattr(options, name) >= least:
            raise UsageError(f"{name} {getattr(options, name)}", remedy=f"give at least {least}")


def _shares(options: TrainOptions, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(options, name) < 1:
            raise UsageError(f"{name} {getattr(options, name)}", remedy="give a share from 0 to below 1")
