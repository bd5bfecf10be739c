"""Candidates of a search: what a model is made by, and what was measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ...runtime import Accuracy
from ..drop_budget import ROUNDING

UNCUT = "uncut"
"""The path that cuts nothing."""

Precision: TypeAlias = Literal["float32", "float16", "int8", "int8-fastest"]
"""How a candidate computes: ``int8-fastest`` leaves in float what is faster so on this machine."""

PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "int8", "int8-fastest")

METHODS = ("default", "percentile", "mse")
"""How the range of an activation is chosen."""


@dataclass(frozen=True)
class Plan:
    """How a candidate is made from the original.

    Attributes:
        path: The path of cuts; :data:`UNCUT` for none.
        depth: Rounds of it.
        healed: Whether it was trained afterwards to answer as the original does.
        precision: How it computes.
        method: How the ranges of integer activations are chosen.
    """

    path: str = UNCUT
    depth: int = 0
    healed: bool = False
    precision: Precision = "float32"
    method: str = "default"

    @property
    def name(self) -> str:
        """A name for files and tables."""
        parts = [self.path if self.path == UNCUT else f"{self.path}-{self.depth:02d}"]
        parts += ["healed"] if self.healed else []
        parts += [self.precision]
        parts += [] if self.method == "default" else [self.method]
        return "-".join(parts)

    @property
    def in_float(self) -> Plan:
        """The same before it was quantized."""
        return replace(self, precision="float32", method="default")

    @property
    def earlier(self) -> Plan | None:
        """The plan whose model this one begins with; None where it begins with the original."""
        if self.precision != "float32":
            return self.in_float
        return replace(self, healed=False) if self.healed else None


@dataclass(frozen=True)
class Candidate:
    """A model that was made and measured.

    Attributes:
        plan: How it was made.
        file: Its file.
        sha256: SHA-256 of it.
        size_bytes: Bytes of the file.
        accuracy: The metric on the evaluation samples.
        lost: How much less than the original; negative where it is better.
        speed_ratio: How many times faster than the original, from a short measurement.
        speed_low_ratio: Lower end of its 95 % interval.
        speed_high_ratio: Upper end.
        params_ratio: Share of the parameters left.
        figures: What the steps reported, as plain data.
    """

    plan: Plan
    file: Path
    sha256: str
    size_bytes: int
    accuracy: Accuracy
    lost: float
    speed_ratio: float
    speed_low_ratio: float
    speed_high_ratio: float
    params_ratio: float
    figures: dict[str, Any]

    @property
    def name(self) -> str:
        """The plan's name."""
        return self.plan.name

    def holds(self, max_drop: float, max_bytes: int | None = None) -> bool:
        """Whether it is inside a budget."""
        small = max_bytes is None or self.size_bytes <= max_bytes
        return small and self.lost <= max_drop + ROUNDING


def pareto_front(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Those that no other beats in speed without losing more; the fastest first."""
    front: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: (-c.speed_ratio, c.lost)):
        if not front or candidate.lost < front[-1].lost:
            front.append(candidate)
    return tuple(front)
