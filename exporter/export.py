"""Exporting a module, and proving the result before anybody may have it."""

from __future__ import annotations

import contextlib
import importlib.util
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir
import torch
from torch import nn

from ..calib_data.runner import OrtRunner, Runner
from ..core.artifact import ModelArtifact
from ..core.errors import ExpectationError, MissingExtraError, ModelError
from ..core.tensors import output_specs
from .attempts import TABLE, Request, quiet
from .binding import bind
from .cases import example_feed
from .hygiene import strip_traces
from .options import ExporterName, ExportOptions
from .parity import compare_output
from .reference import Reference, make_reference
from .report import Attempt, ExportReport, ParityRow


@dataclass(frozen=True)
class ExportResult:
    """An export that passed.

    Attributes:
        artifact: The model, in memory.
        report: How it came about.
    """

    artifact: ModelArtifact
    report: ExportReport


def export_model(module: nn.Module, options: ExportOptions, *, runner: Runner | None = None) -> ExportResult:
    """Export a module to ONNX, and compare the result with it under ONNX Runtime.

    The exporters are tried in order. One that fails, or whose model differs from the module on any case (see
    :func:`~sardonyx.exporter.cases.make_cases`), is followed by the next; each try and its reason is in the
    report. The module is put in evaluation mode for the duration.

    Args:
        module: The module, with its weights.
        options: Inputs, free axes, tolerances.
        runner: Executes the export; ONNX Runtime by default.

    Returns:
        The model, free of paths of this machine, and the report.

    Raises:
        ExpectationError: No exporter gave a model that computes the same.
        ModelError: The module itself fails on inputs of these shapes, or gives nothing but NaN.
        UsageError: The input or output names do not fit the module.
    """
    if runner is None and importlib.util.find_spec("onnxruntime") is None:
        raise MissingExtraError("onnxruntime", "cpu")
    binding = bind(module, list(options.inputs))
    attempts: list[Attempt] = []
    with _evaluating(module), torch.no_grad():
        reference = make_reference(module, binding, options)
        axes = reference.output_axes(options)
        request = Request(module, binding, example_feed(options), options, axes)
        for exporter in options.exporters:
            graph, attempt = _attempt(exporter, request, reference, runner or OrtRunner())
            attempts.append(attempt)
            if attempt.is_passed and graph is not None:
                report = ExportReport(exporter, graph.opset_imports[""], tuple(attempts), reference.notes())
                return ExportResult(ModelArtifact.of(graph), report)
    reasons = "; ".join(f"{a.exporter}: {a.reason}" for a in attempts)
    raise ExpectationError(
        f"no exporter gave a model that computes what the module computes: {reasons}",
        remedy="fix what the reasons name, or state a tolerance that you can accept",
    )


def _attempt(
    exporter: ExporterName, request: Request, reference: Reference, runner: Runner
) -> tuple[ir.Model | None, Attempt]:
    started = time.monotonic()
    rows: tuple[ParityRow, ...] = ()
    graph: ir.Model | None = None
    warned: list[str] = []
    reason = ""
    try:
        with quiet() as warned:
            graph = TABLE[exporter](request)
        strip_traces(graph)
        rows = _compare(graph, reference, request.options, runner)
        reason = _reason(graph, rows, reference, request.options)
    except Exception as error:  # noqa: BLE001 - exporters raise anything, and it is this try's reason
        reason = f"{type(error).__name__}: {_first_line(str(error))}"
    attempt = Attempt(exporter, not reason, reason, time.monotonic() - started, rows, tuple(warned))
    return graph, attempt


def _compare(
    graph: ir.Model, reference: Reference, options: ExportOptions, runner: Runner
) -> tuple[ParityRow, ...]:
    names = reference.names
    present = {value.name for value in graph.graph.outputs}
    if present != set(names):
        found = ", ".join(sorted(str(n) for n in present))
        raise ModelError(f"the outputs are {found}, wanted {', '.join(names)}", remedy="name the outputs")
    wanted_inputs = {value.name for value in graph.graph.inputs}
    feeds = [{n: a for n, a in case.feed.items() if n in wanted_inputs} for case in reference.cases]
    floors = {name: reference.floor(name) for name in names}
    rows = []
    runs = zip(reference.cases, reference.outputs, runner.run(graph, feeds, names), strict=True)
    for case, wanted, got in runs:
        for name in names:
            row = compare_output(
                case.name,
                name,
                wanted[name],
                got[name],
                floor=floors[name],
                rtol=options.rtol,
                atol=options.atol,
            )
            rows.append(row)
    return tuple(rows)


def _reason(graph: ir.Model, rows: Sequence[ParityRow], reference: Reference, options: ExportOptions) -> str:
    """Why a model is refused; empty where it is not."""
    failed = [row for row in rows if not row.is_passed]
    if failed:
        worst = max(failed, key=lambda row: (bool(row.problem), row.max_difference))
        return f"{worst.output} differs on {worst.case}: {_difference(worst)}"
    if graph.opset_imports.get("") != options.opset:
        return f"it has opset {graph.opset_imports.get('')}, wanted {options.opset}"
    for spec in output_specs(graph):
        axes = reference.output_axes(options)[spec.name]
        fixed = [axis for axis in axes if spec.shape is not None and isinstance(spec.shape[axis], int)]
        if fixed:
            return f"it declares axis {fixed[0]} of {spec.name} fixed, the module does not"
    return _inputs_kept(graph, options)


def _inputs_kept(graph: ir.Model, options: ExportOptions) -> str:
    lost = set(options.inputs) - {value.name for value in graph.graph.inputs}
    return f"input {min(lost)!r} was dropped: the outputs do not depend on it" if lost else ""


def _difference(row: ParityRow) -> str:
    if row.problem:
        return row.problem
    needed = "no factor helps" if row.required_factor is None else f"{row.required_factor:.3g} times that"
    return (
        f"by up to {row.max_difference:.3g} where the output reaches {row.magnitude:.3g} "
        f"(allowed: atol {row.atol:.3g} + rtol {row.rtol:.3g}; needed: {needed})"
    )


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode within the block; each part's own mode afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[0] if lines else "no message")[:300]
