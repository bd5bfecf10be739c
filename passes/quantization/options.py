"""What a user may ask of quantization."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ...calib_data.visits import DEFAULT_MEMORY_BYTES
from ...core.errors import UsageError
from ...core.targets import IntType, Target
from .parameters import weight_bounds

Method = Literal["minmax", "moving-average", "percentile", "entropy", "mse"]
METHODS: tuple[Method, ...] = ("minmax", "moving-average", "percentile", "entropy", "mse")
"""Ways to choose the range of an activation from its distribution."""

Tool = Literal["equalize", "smooth", "mse-weights", "round", "correct-bias"]
TOOLS: dict[Tool, str] = {
    "equalize": "cross-layer equalization: scales move between a layer and the next",
    "smooth": "SmoothQuant: outliers move from activations behind a normalization into the weights",
    "mse-weights": "weight scales of least square error instead of the largest weight",
    "round": "weights rounded so that the layer's output changes least",
    "correct-bias": "biases take up the mean error of the rounded weights and clipped inputs",
}
"""What may be done for accuracy beside choosing ranges, in the order in which it is done."""

INT_TYPES: tuple[IntType, ...] = ("uint8", "int8", "uint16", "int16")


@dataclass(frozen=True)
class QuantizeOptions:
    """Options of static quantization.

    Attributes:
        method: How the range of an activation is chosen.
        percentile: Share of the elements, in percent, that the range of ``percentile`` holds.
        activation_type: Integer type of activations; None follows the target.
        symmetric: Whether activation ranges are symmetric about zero; None follows the target.
        per_channel: Whether weights have one scale for each output channel.
        weight_range: ``narrow`` keeps signed ranges about zero in [-127, 127], ``full`` uses -128 too.
        reduce_range: Whether weights keep to 7 bits; None follows the target.
        weight_bits: Bits of a weight: 8, of which the range may leave one unused, or 4, which need opset 21 and save
            memory only.
        tools: What is done for accuracy beside choosing ranges.
        exclude: Glob patterns of node names that stay float.
        wide: Glob patterns of node names whose activations have 16 bits.
        op_types: Operators that may become integer; None leaves it to the target.
        dynamic_rest: Whether layers that only dynamic kernels reach become integer too: LSTMs, and matrix products inside
            If, Loop and Scan.
        at_any_cost: Whether nodes become integer whose conversions are expected to cost more than they gain.
        skip_first_last: Whether the first and the last convolution or matrix product stay float.
        deployed_batch: Samples in one run where the model will be used; small batches make conversions dearer.
        error_samples: Most samples on which the error of each layer is measured; 0 measures none.
        batch_size: Most samples in one run of the calibration.
        memory_bytes: Cap on what calibration holds at once.
        keep_statistics: Whether the statistics of the samples are kept in the user's cache folder.
        force: Whether a model that holds quantized operators already is taken.
        seed: Seed of the choice of samples and elements.
    """

    method: Method = "minmax"
    percentile: float = 99.99
    activation_type: IntType | None = None
    symmetric: bool | None = None
    per_channel: bool = True
    weight_range: Literal["full", "narrow"] = "narrow"
    reduce_range: bool | None = None
    weight_bits: Literal[4, 8] = 8
    tools: tuple[Tool, ...] = ()
    exclude: tuple[str, ...] = ()
    wide: tuple[str, ...] = ()
    op_types: tuple[str, ...] | None = None
    dynamic_rest: bool = True
    at_any_cost: bool = False
    skip_first_last: bool = False
    deployed_batch: int = 8
    error_samples: int = 64
    batch_size: int = 32
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    keep_statistics: bool = True
    force: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        _require_one_of("method", self.method, METHODS)
        _require_one_of("weight range", self.weight_range, ("full", "narrow"))
        for tool in self.tools:
            _require_one_of("tool", tool, tuple(TOOLS))
        if self.activation_type is not None:
            _require_one_of("type of activations", self.activation_type, INT_TYPES)
        if self.weight_bits not in {4, 8}:
            raise UsageError(f"weights of {self.weight_bits} bits", remedy="choose 4 or 8")
        if not 50.0 < self.percentile <= 100.0:
            raise UsageError(
                f"percentile is {self.percentile}", remedy="choose one in (50, 100], such as 99.99"
            )
        if min(self.batch_size, self.deployed_batch) < 1 or self.error_samples < 0 or self.memory_bytes < 1:
            raise UsageError(
                "batch sizes, error_samples and memory_bytes are counts", remedy="give positive numbers"
            )


def textbook(options: QuantizeOptions, weight_range: Literal["full", "narrow"]) -> QuantizeOptions:
    """Symmetric int8 as it is taught: the largest magnitude becomes 127, zero stays 0, weights use 8 bits.

    Args:
        options: What else is asked for.
        weight_range: ``narrow`` for [-127, 127], ``full`` for [-128, 127].
    """
    return replace(
        options,
        activation_type="int8",
        symmetric=True,
        reduce_range=False,
        weight_range=weight_range,
        dynamic_rest=False,
    )


def fitted(target: Target, options: QuantizeOptions) -> Target:
    """The target as the user wants it used, with a reason for each thing that it would do otherwise.

    Raises:
        UsageError: It has no kernel for the type of activations.
    """
    kind, symmetric, reduced = options.activation_type, options.symmetric, options.reduce_range
    reasons = list(target.reasons)
    if kind is not None and kind != target.activation_type:
        if kind not in target.activation_types and kind in {"uint16", "int16"}:
            raise UsageError(
                f"{target.name} takes no {kind} activations",
                remedy=f"choose one of {', '.join(target.activation_types)}, or another --target",
            )
        known = kind in target.activation_types
        likes = (
            f"{target.name} likes {target.activation_type} better"
            if known
            else f"{target.name} does not take it"
        )
        reasons.append(f"{kind} activations were asked for by the user; {likes}")
    rule = target.zero_point if symmetric is None else ("symmetric" if symmetric else "asymmetric")
    if rule != target.zero_point:
        reasons.append("the rule for zero-points was asked for by the user")
    if reduced is not None and reduced != target.reduce_range:
        reasons.append(f"{7 if reduced else 8}-bit weights were asked for by the user")
    if options.weight_bits == 4:
        reasons.append(
            "4-bit weights were asked for by the user: they save memory, and are computed in float"
        )
    if not options.per_channel:
        reasons.append("one scale for each weight was asked for by the user")
    return replace(
        target,
        activation_type=kind or target.activation_type,
        zero_point=rule,
        reduce_range=target.reduce_range if reduced is None else reduced,
        reasons=tuple(reasons),
    )


def used_bits(target: Target, options: QuantizeOptions) -> int:
    """Bits of a weight that are used: 8, 7 with a reduced range, or 4."""
    return min(options.weight_bits, 7 if target.reduce_range else 8)


def bounds_of(target: Target, options: QuantizeOptions) -> tuple[int, int]:
    """The smallest and the largest integer of a weight."""
    return weight_bounds(used_bits(target, options), options.weight_range)


def _require_one_of(what: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise UsageError(f"unknown {what} {given!r}", remedy=f"choose one of {', '.join(known)}")
