"""What a search is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...core.errors import UsageError

DEEPEST = 0.08
"""Share of the cost that the deepest cut of a path aims at."""

ROUNDS = 28
"""Rounds of a path: each leaves about 0.91 of what it found."""

FOR_SKIPS = 0.8
"""Share of the budget that skipping branches may spend before neurons are cut.

What both lose does not add up: on a small ResNet three skips lost 0.7 points and a cut behind them another 0.4, for more than
twice the speed of a cut alone that lost as much.
"""


@dataclass(frozen=True)
class OptimizeOptions:
    """Budget and measuring of a search.

    Attributes:
        max_drop: How much of the metric may be lost on the evaluation samples.
        min_speedup: How many times faster than the original the result must be; None for faster at all.
        max_bytes: Most bytes of the result's file; None for any.
        metric: What is measured.
        batch: Batch size that is timed.
        threads: Threads of timing and evaluation; 0 leaves it to ONNX Runtime.
        provider: The execution provider that is timed.
        seconds: Time for the whole search; what it leaves after the first look is spent on refining and healing. None
            for the first look only, however long that takes.
        approximate: Whether neurons may go over which a LayerNormalization or a mean runs; None tries it where there
            are any.
        exclude: Globs over names of nodes that are neither cut nor quantized.
        seed: Seed of every random choice.
    """

    max_drop: float
    min_speedup: float | None = None
    max_bytes: int | None = None
    metric: str = "top1"
    batch: int = 1
    threads: int = 0
    provider: str = "cpu"
    seconds: float | None = None
    approximate: bool | None = None
    exclude: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.max_drop) and self.max_drop >= 0):
            raise UsageError(f"max_drop {self.max_drop}", remedy="give what may be lost, as 0.01")
        if self.min_speedup is not None and not (math.isfinite(self.min_speedup) and self.min_speedup > 0):
            raise UsageError(f"min_speedup {self.min_speedup}", remedy="give a factor above 0, as 2")
        if self.max_bytes is not None and self.max_bytes < 1:
            raise UsageError(f"max_bytes {self.max_bytes}", remedy="give a size, as 500kB")
        if self.seconds is not None and not self.seconds > 0:
            raise UsageError(f"a search of {self.seconds} s", remedy="give a time, as 10m")
        if self.batch < 1 or self.threads < 0:
            raise UsageError("batch counts from 1, threads from 0", remedy="give other numbers")
