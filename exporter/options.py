"""What an export is asked for: plain values, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..core.errors import UsageError

ExporterName = Literal["dynamo", "torchscript"]

EXPORTERS: tuple[ExporterName, ...] = ("dynamo", "torchscript")
"""The exporters of torch, in the order in which they are tried."""

DTYPES = ("float32", "float16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")
"""The types that inputs can have, as numpy names them."""


@dataclass(frozen=True)
class InputShape:
    """One input of the module.

    Attributes:
        shape: Its dimensions; a dynamic axis takes other sizes as well.
        dtype: One of :data:`DTYPES`.
        high: Integers are drawn from ``[0, high)``: indices that every table of the module has.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    high: int = 2

    def __post_init__(self) -> None:
        if not self.shape or any(d < 1 for d in self.shape):
            raise UsageError(
                f"input shape {self.shape}", remedy="give positive dimensions, such as 1x3x224x224"
            )
        if self.high < 1:
            raise UsageError(f"integers below {self.high}", remedy="give a bound of at least 1")
        if self.dtype not in DTYPES:
            raise UsageError(
                f"input type {self.dtype!r} is not known", remedy=f"choose one of {', '.join(DTYPES)}"
            )


@dataclass(frozen=True)
class ExportOptions:
    """How a module is exported and compared.

    Attributes:
        inputs: Each input by name. Where the names are those of ``forward``'s parameters they go to these;
            where none is, they go to its parameters in order.
        dynamic: For each input, its free axes and their names; left out, axis 0 of every input is ``batch``.
        output_names: Names of the outputs; left out, a dictionary's keys, ``output``, or ``output_0`` and on.
        opset: Version of the standard operators.
        exporters: Which exporters are tried, in order.
        rtol: Relative tolerance; None takes that of the output's type.
        atol: Absolute tolerance; None takes the type's share of the largest magnitude of the output.
        seed: Seed of the inputs compared.
    """

    inputs: Mapping[str, InputShape]
    dynamic: Mapping[str, Mapping[int, str]] | None = None
    output_names: tuple[str, ...] = ()
    opset: int = 20
    exporters: tuple[ExporterName, ...] = EXPORTERS
    rtol: float | None = None
    atol: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.inputs:
            raise UsageError(
                "no input is given", remedy="give each input's shape, such as --input x=1x3x224x224"
            )
        unknown = [e for e in self.exporters if e not in EXPORTERS]
        if unknown or not self.exporters:
            raise UsageError(f"unknown exporters {unknown}", remedy=f"choose from {', '.join(EXPORTERS)}")
        if any(t is not None and not 0 <= t < 1 for t in (self.rtol, self.atol)):
            raise UsageError("a tolerance is outside [0, 1)", remedy="give for instance 1e-4")
        self._check_dynamic()

    def _check_dynamic(self) -> None:
        for name, axes in (self.dynamic or {}).items():
            if name not in self.inputs:
                raise UsageError(
                    f"dynamic input {name!r} is not an input", remedy=f"inputs: {', '.join(self.inputs)}"
                )
            rank = len(self.inputs[name].shape)
            for axis, symbol in axes.items():
                if not 0 <= axis < rank:
                    raise UsageError(
                        f"input {name!r} has no axis {axis}", remedy=f"choose from 0 to {rank - 1}"
                    )
                if not symbol.isidentifier():
                    raise UsageError(f"axis name {symbol!r}", remedy="use letters, digits and underscores")

    def axes_of(self, name: str) -> Mapping[int, str]:
        """The free axes of an input and their names."""
        return {0: "batch"} if self.dynamic is None else self.dynamic.get(name, {})
