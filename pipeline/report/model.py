"""What a run's report holds: plain data without any rendering. JSON is the truth; pages are made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Measured:
    """A number with its 95 % interval.

    Attributes:
        value: The number.
        low: Lower end; None where there is no interval, and ``method`` says why.
        high: Upper end.
        method: How the interval was made.
    """

    value: float
    low: float | None = None
    high: float | None = None
    method: str = ""


@dataclass(frozen=True)
class StageLatency:
    """Latency of one stage's model at one batch size.

    Attributes:
        batch: Samples in a run.
        median_ms: Median milliseconds of a run, with its interval.
        speed_ratio: How many times faster than the first stage, with its interval; above 1 is faster.
        verdict: ``faster``, ``slower``, ``no difference`` or ``baseline``.
        provider: The execution provider.
    """

    batch: int
    median_ms: Measured
    speed_ratio: Measured
    verdict: str
    provider: str = ""


@dataclass(frozen=True)
class Stage:
    """One step of a run, and the model it left behind.

    Attributes:
        name: Its name.
        kind: What it did: ``export``, ``prune``, ``quantize``, ...
        params: Elements of the model's weights; None where the stage made no graph.
        macs: Multiply-accumulates of one sample; None where a shape is unknown.
        size_bytes: Bytes of the model's file.
        accuracy: The run's metric.
        drop: What is lost against the first stage, paired by sample where the metric allows it.
        agreement: Share of samples on which it answers as the first stage does, or the cosine.
        latency: One entry for each batch size.
        seconds: How long the step took.
        notes: What was decided, in sentences.
        warnings: What makes a figure less certain.
    """

    name: str
    kind: str = ""
    params: int | None = None
    macs: int | None = None
    size_bytes: int | None = None
    accuracy: Measured | None = None
    drop: Measured | None = None
    agreement: Measured | None = None
    latency: tuple[StageLatency, ...] = ()
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layer:
    """One layer of the network, before and after.

    Attributes:
        name: The node's name.
        op_type: Its operator.
        width_before: Its output channels before; None where it has none.
        width_after: Its output channels after.
        sqnr_db: Signal-to-noise ratio of its integer output in dB; None where it stayed float.
        kernel: What runs it: ``int8``, ``float32``, or the name of the kernel.
        bits: Bits of each of its weights that are used: 32 in float, 8, 7 or 4 in integers; None where unknown.
        time_before_us: Microseconds of one run in the first model; None where it was not profiled.
        time_after_us: Microseconds of one run in the result.
    """

    name: str
    op_type: str = ""
    width_before: int | None = None
    width_after: int | None = None
    sqnr_db: float | None = None
    kernel: str = ""
    bits: int | None = None
    time_before_us: float | None = None
    time_after_us: float | None = None

    @property
    def cut_ratio(self) -> float | None:
        """Share of its channels that was cut, 0 to 1."""
        if not self.width_before or self.width_after is None:
            return None
        return 1.0 - self.width_after / self.width_before


@dataclass(frozen=True)
class SkippedItem:
    """Something that a stage left alone.

    Attributes:
        stage: The stage.
        node: The node or value.
        code: A short, stable word for the reason.
        text: The reason.
    """

    stage: str
    node: str
    code: str
    text: str


@dataclass(frozen=True)
class Curve:
    """A figure over the course of a training.

    Attributes:
        stage: The stage that trained.
        label: What is drawn, such as ``loss`` or ``top1``.
        steps: Positions: epochs or steps.
        values: The figure at each; None where it was not finite.
    """

    stage: str
    label: str
    steps: tuple[float, ...]
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Point:
    """One candidate of a search.

    Attributes:
        name: Its name.
        speed_ratio: How many times faster than the first stage it is; above 1 is faster.
        accuracy: The run's metric.
        size_bytes: Bytes of its file; None where it was not kept.
        taken: Whether it is the result.
        on_front: Whether no other candidate is both faster and more accurate.
        note: What became of it, in a sentence.
    """

    name: str
    speed_ratio: Measured
    accuracy: Measured
    size_bytes: int | None = None
    taken: bool = False
    on_front: bool = False
    note: str = ""


@dataclass(frozen=True)
class NodeCost:
    """What one node of the model costs.

    Attributes:
        node: Its name.
        op_type: Its operator.
        time_before_us: Microseconds of one run in the first model; None where it has no such node.
        time_after_us: Microseconds of one run in the result; None where it has no such node.
        macs: Multiply-accumulates of one run; None where unknown.
        kernel: What runs it now.
        note: What stands out, in a sentence.
    """

    node: str
    op_type: str = ""
    time_before_us: float | None = None
    time_after_us: float | None = None
    macs: int | None = None
    kernel: str = ""
    note: str = ""

    @property
    def slowest_us(self) -> float:
        """Microseconds in the result, or in the first model where the result has no such node."""
        return self.time_before_us or 0.0 if self.time_after_us is None else self.time_after_us


@dataclass(frozen=True)
class ChangedSample:
    """A sample that the result answers differently from the first model.

    Attributes:
        index: Its place among the samples, from 0.
        label: What is right; empty where it is not known.
        before: The first model's answer.
        after: The result's.
        picture_png_base64: A small picture of it, a PNG in base64; empty where it is no picture.
    """

    index: int
    label: str
    before: str
    after: str
    picture_png_base64: str = ""


@dataclass(frozen=True)
class RunReport:
    """Everything that was measured in a run.

    Attributes:
        title: What the run was about.
        metric: Name of the accuracy metric.
        stages: The steps in order; the first with a model is what the others are compared with.
        chosen: Name of the stage whose model is the result; the last one with a model where None.
        higher_is_better: Whether more of the metric is better.
        is_share: Whether the metric is a share from 0 to 1, shown in percent.
        layers: The network, layer by layer.
        skipped: What was left alone, and why.
        curves: Trainings.
        environment: What it was measured on.
        provenance: Hashes and versions that pin the inputs, by name.
        command: The command line that was given; empty where there was none.
        points: The candidates of a search.
        budget_drop: How much of the metric a search was allowed to lose; None where nothing was said.
        nodes: What the nodes of the model cost.
        changed: Samples that the result answers differently from the first model.
    """

    title: str
    metric: str
    stages: tuple[Stage, ...]
    chosen: str | None = None
    higher_is_better: bool = True
    is_share: bool = True
    layers: tuple[Layer, ...] = ()
    skipped: tuple[SkippedItem, ...] = ()
    curves: tuple[Curve, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    points: tuple[Point, ...] = ()
    budget_drop: float | None = None
    nodes: tuple[NodeCost, ...] = ()
    changed: tuple[ChangedSample, ...] = ()

    @property
    def models(self) -> tuple[Stage, ...]:
        """The stages that left a model behind."""
        return tuple(stage for stage in self.stages if stage.size_bytes is not None)

    @property
    def baseline(self) -> Stage | None:
        """The first stage with a model."""
        return self.models[0] if self.models else None

    @property
    def result(self) -> Stage | None:
        """The stage whose model is the result."""
        named = next((s for s in self.models if s.name == self.chosen), None)
        return named or (self.models[-1] if self.models else None)

    @property
    def budget(self) -> float | None:
        """The worst value of the metric that the budget allows; None where there is no budget."""
        if self.budget_drop is None or self.baseline is None or self.baseline.accuracy is None:
            return None
        return self.baseline.accuracy.value - self.budget_drop * (1.0 if self.higher_is_better else -1.0)
