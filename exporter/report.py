"""What an export did: which exporter, why not the other, and how close the result is."""

from __future__ import annotations

from dataclasses import dataclass

from .options import ExporterName


@dataclass(frozen=True)
class ParityRow:
    """One output on one case.

    An element passes where ``|exported - module| <= atol + rtol * |module|``; NaN and infinities must stand at
    the same places.

    Attributes:
        case: Kind of input and sizes of the free axes.
        output: Name of the output.
        is_passed: Whether every element passes.
        max_difference: Largest absolute difference of finite elements.
        magnitude: Largest absolute finite element of the module's output.
        rtol: Relative tolerance used.
        atol: Absolute tolerance used.
        required_factor: The tolerances times this just pass: above 1 the row fails; None where no factor helps.
        problem: What no tolerance can mend (shapes, types, places of NaN), or empty.
    """

    case: str
    output: str
    is_passed: bool
    max_difference: float
    magnitude: float
    rtol: float
    atol: float
    required_factor: float | None
    problem: str = ""


@dataclass(frozen=True)
class Attempt:
    """One exporter's try.

    Attributes:
        exporter: Which one.
        is_passed: Whether its model was taken.
        reason: Why not; empty where it was.
        seconds: Time taken, comparison included.
        parity: The comparison, as far as it came.
        warnings: What the exporter warned of, one line each.
    """

    exporter: ExporterName
    is_passed: bool
    reason: str
    seconds: float
    parity: tuple[ParityRow, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportReport:
    """The report of an export.

    Attributes:
        exporter: The exporter whose model was taken.
        opset: Version of the standard operators.
        attempts: Every try in order; the last one is the one taken.
        notes: What the comparison could not show.
    """

    exporter: ExporterName
    opset: int
    attempts: tuple[Attempt, ...]
    notes: tuple[str, ...] = ()

    @property
    def parity(self) -> tuple[ParityRow, ...]:
        """The comparison of the model taken."""
        return self.attempts[-1].parity

    @property
    def fallbacks(self) -> tuple[Attempt, ...]:
        """The tries that failed, each with its reason."""
        return tuple(a for a in self.attempts if not a.is_passed)

    @property
    def max_difference(self) -> float:
        """Largest absolute difference over all cases."""
        return max((row.max_difference for row in self.parity), default=0.0)

    @property
    def required_factor(self) -> float:
        """The tolerances times this would just pass every case; well below 1 is a wide margin."""
        return max((row.required_factor or 0.0 for row in self.parity), default=0.0)
