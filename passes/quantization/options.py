"""What a user may ask of quantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...core.errors import UsageError

Method = Literal["minmax", "percentile", "entropy", "mse"]
METHODS: tuple[Method, ...] = ("minmax", "percentile", "entropy", "mse")
"""Ways to choose the range of an activation from its distribution."""

DEFAULT_MEMORY_BYTES = 1 << 30
"""Cap on what calibration holds at once."""


@dataclass(frozen=True)
class QuantizeOptions:
    """Options of static quantization.

    Attributes:
        method: How the range of an activation is chosen.
        percentile: Share of the elements, in percent, that the range of ``percentile`` holds.
        symmetric: Whether activation ranges are symmetric about zero; None follows the target.
        per_channel: Whether weights have one scale for each output channel.
        exclude: Glob patterns of node names that stay float.
        op_types: Operators that may become integer; None leaves it to the target.
        weight_range: ``narrow`` keeps int8 weights in [-127, 127], ``full`` uses -128 where it helps.
        skip_first_last: Whether the first and the last convolution or matrix product stay float.
        deployed_batch: Samples in one run where the model will be used; small batches make conversions dearer.
        error_samples: Most samples on which the error of each layer is measured; 0 measures none.
        batch_size: Most samples in one run of the calibration.
        memory_bytes: Cap on what calibration holds at once.
        force: Whether a model that holds quantized operators already is taken.
        seed: Seed of the choice of samples for the error.
    """

    method: Method = "minmax"
    percentile: float = 99.99
    symmetric: bool | None = None
    per_channel: bool = True
    exclude: tuple[str, ...] = ()
    op_types: tuple[str, ...] | None = None
    weight_range: Literal["full", "narrow"] = "narrow"
    skip_first_last: bool = False
    deployed_batch: int = 8
    error_samples: int = 64
    batch_size: int = 32
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    force: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"unknown method {self.method!r}", remedy=f"choose one of {', '.join(METHODS)}")
        if not 50.0 < self.percentile <= 100.0:
            raise UsageError(
                f"percentile is {self.percentile}", remedy="choose one in (50, 100], such as 99.99"
            )
        if self.weight_range not in {"full", "narrow"}:
            raise UsageError(f"unknown weight range {self.weight_range!r}", remedy="choose full or narrow")
        if min(self.batch_size, self.deployed_batch) < 1 or self.error_samples < 0 or self.memory_bytes < 1:
            raise UsageError(
                "batch sizes, error_samples and memory_bytes are counts", remedy="give positive numbers"
            )
