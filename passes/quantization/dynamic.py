"""Dynamic quantization: weights in int8, activations rounded anew in every run, by their own range; no samples needed.

A matrix product becomes DynamicQuantizeLinear, MatMulInteger and a scale, which ONNX Runtime joins to one kernel; an
LSTM becomes ``com.microsoft.DynamicQuantizeLSTM``. Graphs inside If, Loop and Scan are entered. Convolutions are left
alone unless asked for: their integer kernel is rarely faster than the blocked float one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import onnx_ir as ir
import onnx_ir.passes.common as stock

from ...calib_data.data import CalibrationData
from ...calib_data.runner import OrtRunner, Runner
from ...core.errors import InputError, ModelError, UsageError
from ...core.metrics import measure_graph
from ...core.reports import Change, PassReport, Skip
from ...core.targets import Target
from ...core.tensors import input_specs
from ..base import validate
from ..output_error import OutputError
from .constant_products import PRODUCTS, is_standard, why_no_product
from .dynamic_nodes import ActivationQuantizers, replace_convolution, replace_product, why_no_convolution
from .dynamic_recurrent import RECURRENT, replace_lstm, why_no_lstm
from .preparation import at_opset, clean_float32, refuse_quantized
from .weight_errors import WeightError

DYNAMIC_OPSET = 11
"""The first opset with DynamicQuantizeLinear."""

DYNAMIC = "dynamic"
"""What a report's changes call a node that was made dynamic."""

KNOWN_OPS = ("MatMul", "Gemm", "LSTM", "Conv")
"""Operators that can be made dynamic."""


@dataclass(frozen=True)
class DynamicOptions:
    """Options of dynamic quantization.

    Attributes:
        op_types: Operators that become integer, of :data:`KNOWN_OPS`.
        per_channel: Whether weights have one scale for each output channel.
        reduce_range: Whether weights keep to 7 bits; None follows the target.
        exclude: Glob patterns of node names that stay float.
        force: Whether a model that holds quantized operators already is taken.
        error_samples: Most samples on which the error of the outputs is measured, where samples are given.
        max_error: What one node alone may do to an output, measured on samples, as the length of the difference over
            the length of the float output; a node that does more stays float. None measures no node.
    """

    op_types: tuple[str, ...] = ("MatMul", "Gemm", "LSTM")
    per_channel: bool = True
    reduce_range: bool | None = None
    exclude: tuple[str, ...] = ()
    force: bool = False
    error_samples: int = 16
    max_error: float | None = None

    def __post_init__(self) -> None:
        unknown = [op for op in self.op_types if op not in KNOWN_OPS]
        if unknown or not self.op_types:
            raise UsageError(
                f"{unknown[0] if unknown else 'nothing'} cannot be quantized dynamically",
                remedy=f"choose from {', '.join(KNOWN_OPS)}",
            )
        if self.error_samples < 1:
            raise UsageError("error_samples is a count", remedy="give a positive number")
        if self.max_error is not None and not self.max_error > 0.0:
            raise UsageError(
                f"the largest error is {self.max_error}", remedy="choose one above 0, such as 0.05"
            )


@dataclass
class DynamicReport(PassReport):
    """The report of dynamic quantization.

    Attributes:
        weights: The error of each weight.
        output_errors: For each output, its error on the samples: the length of the difference over the length of the
            float one; empty without samples.
        weight_bits: Bits of a weight that are used: 8, or 7 with a reduced range.
    """

    weights: list[WeightError] = field(default_factory=list)
    output_errors: Mapping[str, float] = field(default_factory=dict)
    weight_bits: int = 8


@dataclass(frozen=True)
class DynamicOutcome:
    """A dynamically quantized model and what was done.

    Attributes:
        model: The model.
        report: Errors, and the nodes that stay float.
    """

    model: ir.Model
    report: DynamicReport


def quantize_dynamic(
    model: ir.Model,
    options: DynamicOptions | None = None,
    *,
    target: Target,
    data: CalibrationData | None = None,
    runner: Runner | None = None,
) -> DynamicOutcome:
    """Quantize weights to int8, and activations in every run.

    Args:
        model: Left as it is.
        options: How; the defaults if left out.
        target: Decides whether weights keep to 7 bits.
        data: Samples on which the error of the outputs is measured; needed only where the opset must be raised.
        runner: Executes graphs; ONNX Runtime by default.

    Raises:
        InputError: The model is quantized already, or nothing in it can be made dynamic.
        ModelError: A weight is not finite, or the opset cannot be raised.
        UsageError: The target is not a CPU (nothing else runs these operators in integers), or ``max_error`` is given
            without samples.
    """
    options, runner = options or DynamicOptions(), runner or OrtRunner()
    refuse_quantized(model, force=options.force)
    _require_cpu(target)
    before = measure_graph(model)
    bound = None if data is None else data.for_model(input_specs(model))
    base = _prepared(model, bound, runner)
    result = base.clone()
    measured = None if bound is None else OutputError(base, bound, runner, samples=options.error_samples)
    report = _make_bearable(result, options, target, measured)
    if not report.applied:
        raise InputError(
            "nothing in the model can be quantized dynamically",
            remedy="it has no matrix product or LSTM with constant weights; use static quantization",
        )
    validate(result)
    report.before, report.after = before, measure_graph(result)
    if measured is not None:
        report.output_errors = measured.of(result)
    return DynamicOutcome(result, report)


def quantize_recurrent(
    model: ir.Model,
    options: DynamicOptions | None = None,
    *,
    target: Target,
    only: Collection[str] | None = None,
    refused: Mapping[str, str] | None = None,
) -> DynamicReport:
    """Make dynamic what static quantization cannot reach: LSTMs, and matrix products inside If, Loop and Scan.

    Args:
        model: A float or Q/DQ model, cleaned up; changed in place.
        options: How; the defaults if left out.
        target: Decides whether weights keep to 7 bits. Where it is no CPU, nothing is changed.
        only: Names of the nodes that are looked at; all of them if left out.
        refused: Names of nodes that stay float all the same, with the reason.

    Returns:
        What became integer, and why other recurrent layers did not; nothing applied is no error.

    Raises:
        ModelError: A weight is not finite.
    """
    report = DynamicReport("quantize-recurrent")
    if target.is_cpu and model.graph.opset_imports.get("", 0) >= DYNAMIC_OPSET:
        static = {node for node in model.graph if node.op_type not in RECURRENT}
        report = make_dynamic(
            model, options or DynamicOptions(), target=target, passed_over=static, only=only, refused=refused
        )
        report.name = "quantize-recurrent"
    return report


def _make_bearable(
    model: ir.Model, options: DynamicOptions, target: Target, measured: OutputError | None
) -> DynamicReport:
    """Replace nodes in place, but for those that alone change the outputs too much.

    Raises:
        UsageError: ``max_error`` is given without samples.
    """
    refused: dict[str, str] = {}
    if options.max_error is not None:
        if measured is None:
            raise UsageError("max_error needs samples", remedy="add --calib DATA, or leave max_error out")
        for name, alone in each_alone(model, partial(make_dynamic, options=options, target=target)):
            error = measured.worst(alone)
            if error > options.max_error:
                refused[name] = f"alone it changes an output by {error:.2g}, {options.max_error:g} is allowed"
    return make_dynamic(model, options, target=target, refused=refused)


def each_alone(model: ir.Model, make: Callable[..., DynamicReport]) -> Iterator[tuple[str, ir.Model]]:
    """For each node that can be made dynamic, its name and a copy of the model in which it alone is.

    Args:
        model: A cleaned float model, left as it is.
        make: Makes nodes of a model dynamic in place, ``only`` those of some names.
    """
    for change in make(model.clone()).applied:
        alone = model.clone()
        make(alone, only={change.node})
        yield change.node, alone


def make_dynamic(
    model: ir.Model,
    options: DynamicOptions,
    *,
    target: Target,
    passed_over: Collection[ir.Node] = (),
    only: Collection[str] | None = None,
    refused: Mapping[str, str] | None = None,
) -> DynamicReport:
    """Replace nodes in place.

    Args:
        model: A cleaned float model; changed in place.
        options: How.
        target: Decides whether weights keep to 7 bits.
        passed_over: Nodes that are not looked at.
        only: Names of the nodes that are looked at; all of them if left out.
        refused: Names of nodes that stay float all the same, with the reason.

    Raises:
        ModelError: A weight is not finite.
    """
    reduced = target.reduce_range if options.reduce_range is None else options.reduce_range
    report = DynamicReport("quantize-dynamic", weight_bits=7 if reduced else 8)
    quantizers = ActivationQuantizers()
    words: dict[str, Any] = {"per_channel": options.per_channel, "reduce_range": reduced}
    for node in list(ir.traversal.RecursiveGraphIterator(model.graph)):
        looked_at = node not in passed_over and (only is None or node.name in only)
        if not (looked_at and is_standard(node, _CANDIDATES)):
            continue
        skip = _why_float(node, options)
        if refused and (name := node.name or "") in refused:
            skip = Skip(name, None, "measured", refused[name])
        if skip is not None:
            report.skipped.append(skip)
            continue
        if node.op_type == "LSTM":
            error = replace_lstm(node, **words)
        elif node.op_type == "Conv":
            error = replace_convolution(node, quantizers, **words)
        else:
            error = replace_product(node, quantizers, **words)
        report.weights.append(error)
        report.applied.append(Change(error.node, DYNAMIC, "float32", "int8"))
    if report.applied:
        model.opset_imports["com.microsoft"] = 1
        stock.RemoveUnusedNodesPass()(model)
    return report


_CANDIDATES = PRODUCTS | RECURRENT | {"Conv"}


def _why_float(node: ir.Node, options: DynamicOptions) -> Skip | None:
    if node.op_type not in {*options.op_types, *RECURRENT}:
        return Skip(node.name or "", None, "not-asked", f"{node.op_type} was not asked for")
    if node.op_type in RECURRENT:
        return why_no_lstm(node, options.exclude, "LSTM" in options.op_types)
    if node.op_type == "Conv":
        return why_no_convolution(node, options.exclude)
    return why_no_product(node, options.exclude)


def _require_cpu(target: Target) -> None:
    if not target.is_cpu:
        raise UsageError(
            f"{target.name} has no kernels for dynamic quantization",
            remedy="choose a CPU target, or quantize statically with samples",
        )


def _prepared(model: ir.Model, data: CalibrationData | None, runner: Runner) -> ir.Model:
    """A clean float32 copy at an opset that knows the operators."""
    base = clean_float32(model)
    version = base.opset_imports.get("", 0)
    if version >= DYNAMIC_OPSET:
        return base
    if data is None:
        raise ModelError(
            f"opset {version} has no DynamicQuantizeLinear, {DYNAMIC_OPSET} has",
            remedy="give samples, so that converting it can be proven, or export with a newer opset",
        )
    return at_opset(base, DYNAMIC_OPSET, data, runner)
