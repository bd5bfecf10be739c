"""From torch to ONNX: the words of the command line become options, and the module is exported."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import ModelArtifact
from ..core.errors import UsageError
from ..exporter import ExportOptions, ExportReport, InputShape
from .monitor import Monitor, Silent

if TYPE_CHECKING:
    from torch import nn

_INPUT = re.compile(r"(?P<name>[^=]+)=(?P<dims>\d+(?:x\d+)*)(?::(?P<dtype>\w+))?(?:<(?P<high>\d+))?")
_AXIS = re.compile(r"(?P<name>[^:]+):(?P<axis>\d+)(?:=(?P<symbol>\w+))?")


@dataclass(frozen=True)
class Exported:
    """What an export gives.

    Attributes:
        model: The model, in memory.
        report: Which exporter made it, and how close it is.
    """

    model: ModelArtifact
    report: ExportReport


def export(
    source: str | nn.Module,
    *,
    weights: str | Path | None = None,
    inputs: Sequence[str] | Mapping[str, InputShape] = (),
    dynamic: Sequence[str] | None = None,
    opset: int | None = None,
    seed: int = 0,
    monitor: Monitor | None = None,
) -> Exported:
    """Export a torch module to ONNX, and prove that both compute the same.

    Args:
        source: A module, or ``pkg.module:factory`` or ``file.py:factory``.
        weights: Its weights: ``.safetensors``, or a file that ``torch.load(weights_only=True)`` reads.
        inputs: Its inputs as ``name=1x3x224x224``, with ``:int64<1000`` behind for indices below 1000.
        dynamic: Free axes as ``name:0``; the first of every input where None; none at all where empty.
        opset: Version of the standard operators; the exporter's default where None.
        seed: Seed of the inputs compared.
        monitor: Is told how work goes on.

    Raises:
        ExpectationError: No exporter gave a model that computes the same.
        UsageError: An input or axis cannot be read.
        MissingExtraError: torch is not installed.
    """
    from ..exporter import export_model, load_factory, load_weights

    monitor = monitor or Silent()
    settings: dict[str, Any] = {} if opset is None else {"opset": opset}
    shapes = inputs if isinstance(inputs, Mapping) else dict(parse_input(text) for text in inputs)
    free = None if dynamic is None else parse_axes(dynamic)
    options = ExportOptions(inputs=shapes, dynamic=free, seed=seed, **settings)
    module = load_factory(source)() if isinstance(source, str) else source
    if weights is not None:
        load_weights(module, weights)
    monitor.note("exporting, then comparing with the module on several batch sizes and edge values")
    result = export_model(module, options)
    for attempt in result.report.fallbacks:
        monitor.note(f"the {attempt.exporter} exporter was left: {attempt.reason}")
    return Exported(result.artifact, result.report)


def parse_input(text: str) -> tuple[str, InputShape]:
    """Read ``name=1x3x224x224``, ``name=1x128:int64<1000``.

    Raises:
        UsageError: It is written otherwise.
    """
    match = _INPUT.fullmatch(text)
    if match is None:
        raise UsageError(
            f"input {text!r} cannot be read", remedy="write name=1x3x224x224, or ids=1x128:int64<1000"
        )
    shape = tuple(int(d) for d in match["dims"].split("x"))
    return match["name"], InputShape(shape, match["dtype"] or "float32", int(match["high"] or 2))


def parse_axes(texts: Sequence[str]) -> dict[str, dict[int, str]]:
    """Read free axes: ``x:0``, or ``x:2=height`` to name one.

    Raises:
        UsageError: One is written otherwise.
    """
    free: dict[str, dict[int, str]] = {}
    for text in texts:
        match = _AXIS.fullmatch(text)
        if match is None:
            raise UsageError(f"axis {text!r} cannot be read", remedy="write x:0, or x:2=height to name it")
        axis = int(match["axis"])
        default = "batch" if axis == 0 else re.sub(r"\W", "_", f"{match['name']}_{axis}")
        free.setdefault(match["name"], {})[axis] = match["symbol"] or default
    return free
