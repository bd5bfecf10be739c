"""The two exporters of torch, each as a function from a module to a graph."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
import onnx_ir as ir
import torch
from torch import nn

from ..core.errors import ModelError
from ..core.tensors import Feed
from .binding import Binding
from .options import ExporterName, ExportOptions


@dataclass(frozen=True)
class Request:
    """What both exporters are given.

    Attributes:
        module: In evaluation mode.
        binding: How inputs become a call.
        feed: Inputs to trace with.
        options: The options.
        output_axes: For each output, in order, its free axes and their names.
    """

    module: nn.Module
    binding: Binding
    feed: Feed
    options: ExportOptions
    output_axes: Mapping[str, Mapping[int, str]]

    def common(self) -> dict[str, Any]:
        """Arguments of ``torch.onnx.export`` that do not depend on the exporter."""
        device = next((p.device for p in self.module.parameters()), torch.device("cpu"))
        args, kwargs = self.binding.arguments(self.feed, device)
        return {
            "args": args,
            "kwargs": kwargs or None,
            "input_names": list(self.binding.names),
            "output_names": list(self.output_axes),
            "opset_version": self.options.opset,
            "verbose": False,
        }


def with_dynamo(request: Request) -> ir.Model:
    """Export through ``torch.export``; a free axis that the module fixes is an error, not a guess."""
    options = request.options
    symbols = {s: torch.export.Dim(s) for name in options.inputs for s in options.axes_of(name).values()}
    axes = {name: {a: symbols[s] for a, s in options.axes_of(name).items()} for name in options.inputs}
    shapes = request.binding.by_parameter(axes)
    program = torch.onnx.export(request.module, dynamo=True, dynamic_shapes=shapes, **request.common())
    if program is None:
        raise ModelError("the exporter gave no program", remedy="report this")
    return program.model


def with_torchscript(request: Request) -> ir.Model:
    """Export through a TorchScript trace: it sees one path through the module's Python code."""
    free = {name: dict(request.options.axes_of(name)) for name in request.options.inputs}
    axes = {n: dict(a) for n, a in (*free.items(), *request.output_axes.items()) if a}
    buffer = io.BytesIO()
    torch.onnx.export(request.module, f=buffer, dynamo=False, dynamic_axes=axes, **request.common())  # type: ignore[arg-type]
    return ir.from_proto(onnx.load_model_from_string(buffer.getvalue()))


TABLE: dict[ExporterName, Callable[[Request], ir.Model]] = {
    "dynamo": with_dynamo,
    "torchscript": with_torchscript,
}
"""The exporters by name."""


@contextlib.contextmanager
def quiet() -> Iterator[list[str]]:
    """Keep the exporters' own messages from the terminal.

    Yields:
        A list that holds, once the block has ended, each different warning in one line.
    """
    lines: list[str] = []
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("always")
            yield lines
    finally:
        logging.disable(level)
    lines.extend(_kept(caught))


def _kept(caught: Sequence[warnings.WarningMessage]) -> list[str]:
    """Warnings about the module; torch's own deprecations concern nobody who exports."""
    kept = [w for w in caught if not issubclass(w.category, (DeprecationWarning, FutureWarning))]
    return list(dict.fromkeys(" ".join(str(w.message).split())[:300] for w in kept))
