"""What quantization did: types and why, every range, every layer's error, and why nodes stayed float."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...core.reports import PassReport, Skip


@dataclass(frozen=True)
class ChosenTypes:
    """The integer types, and why.

    Attributes:
        target: Name of the target.
        activation: Type of activations.
        weight: Type of weights.
        bias: Type of biases.
        zero_point: ``asymmetric`` or ``symmetric``.
        per_channel: Whether weights have a scale for each output channel.
        weight_bits: Bits of a weight that are used: 8, or 7 with a reduced range.
        reasons: Why, in sentences.
        forbids: What the target does not take.
    """

    target: str
    activation: str
    weight: str
    bias: str
    zero_point: str
    per_channel: bool
    weight_bits: int
    reasons: tuple[str, ...]
    forbids: tuple[str, ...]


@dataclass(frozen=True)
class TensorRange:
    """How one activation was quantized.

    Attributes:
        value: Its name.
        seen_low: Smallest element in the samples.
        seen_high: Largest element in the samples.
        low: Smallest value that can be represented now.
        high: Largest value that can be represented now.
        scale: Step between two integers.
        zero_point: The integer that stands for zero.
        shared_with: The value whose parameters it uses, or None for its own.
        constant: Whether it was zero in every sample; its range is then [0, 1].
    """

    value: str
    seen_low: float
    seen_high: float
    low: float
    high: float
    scale: float
    zero_point: int
    shared_with: str | None
    constant: bool


@dataclass(frozen=True)
class WeightRange:
    """How one weight was quantized.

    Attributes:
        node: The node it belongs to.
        axis: The axis of its channels, or None for one scale.
        smallest_scale: Smallest scale of a channel.
        largest_scale: Largest scale of a channel.
        floored_channels: Channels without a scale of their own, because their weights are (almost) zero.
        widened: Whether scales were enlarged so that the bias fits 32 bits.
    """

    node: str
    axis: int | None
    smallest_scale: float
    largest_scale: float
    floored_channels: int
    widened: bool


@dataclass(frozen=True)
class LayerError:
    """The error of one integer node's output, float against quantized model on the same samples.

    Attributes:
        node: The node.
        op: Its operator.
        sqnr_db: Signal to quantization noise at its output in decibels, everything before it quantized too.
        noise_ratio: Noise power over signal power at its output.
        added_ratio: What this node adds: ``noise_ratio`` less the largest one among its inputs, never below 0.
        macs: Multiply-accumulates of one sample; 0 for nodes without any.
    """

    node: str
    op: str
    sqnr_db: float
    noise_ratio: float
    added_ratio: float
    macs: int


@dataclass(frozen=True)
class NodeEffect:
    """What one node in integers does to the model's outputs, everything else in float.

    Attributes:
        node: The node.
        op: Its operator.
        sqnr_db: Signal to quantization noise at the outputs, in decibels.
        noise_ratio: Noise power over signal power at the outputs.
        macs: Multiply-accumulates of one sample; 0 for nodes without any.
    """

    node: str
    op: str
    sqnr_db: float
    noise_ratio: float
    macs: int


@dataclass(frozen=True)
class ToolGain:
    """What one accuracy tool did to the error at the model's outputs.

    Attributes:
        tool: Its name.
        before_db: Signal to noise at the outputs without it, in decibels.
        after_db: With it.
        kept: Whether the result has it.
    """

    tool: str
    before_db: float
    after_db: float
    kept: bool


@dataclass
class QuantizeReport(PassReport):
    """The report of static quantization; ``skipped`` names each node that stays float, with its reason.

    Attributes:
        types: The integer types, and why.
        method: How ranges were chosen.
        samples: Number of calibration samples.
        fingerprint: SHA-256 of the calibration samples.
        opset: Version of the default operator set before and after.
        widened: Whether the model came in half precision, and float32 was made of it first.
        tensors: Each quantized activation.
        weights: Each quantized weight.
        layers: The error at the output of each integer node; empty when it was not measured.
        output_ratio: Noise power over signal power at the model's outputs; None when it was not measured.
        methods: Where several methods were tried, signal to noise at the outputs by each, in decibels.
        tools: What each accuracy tool gained, in the order in which they were tried.
        tool_skipped: What equalization and smoothing passed over, with reasons.
    """

    types: ChosenTypes | None = None
    method: str = ""
    samples: int = 0
    fingerprint: str = ""
    opset: tuple[int, int] = (0, 0)
    widened: bool = False
    tensors: list[TensorRange] = field(default_factory=list)
    weights: list[WeightRange] = field(default_factory=list)
    layers: list[LayerError] = field(default_factory=list)
    output_ratio: float | None = None
    methods: Mapping[str, float] = field(default_factory=dict)
    tools: list[ToolGain] = field(default_factory=list)
    tool_skipped: list[Skip] = field(default_factory=list)
