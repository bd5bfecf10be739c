"""Static quantization to Q/DQ: calibrate, place, write, prove."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import onnx_ir as ir
import onnx_ir.passes.common as stock

from ...calib_data.collector import collect
from ...calib_data.data import CalibrationData
from ...calib_data.histograms import Histogram
from ...calib_data.observers import MinMax
from ...calib_data.runner import OrtRunner, Runner
from ...core.errors import InputError, ModelError
from ...core.metrics import measure_graph
from ...core.reports import Change
from ...core.targets import Target
from ...core.tensors import input_specs
from ..base import validate
from ..cleanup import CleanupPass
from .absorption import clip_limits
from .affine import join_biases, postpone_normalizations
from .fidelity import layer_errors, sample_shapes_of
from .insertion import Writer, Written
from .opset import PER_CHANNEL_OPSET, WIDE_OPSET, raise_opset
from .options import QuantizeOptions
from .parameters import BOUNDS, ActivationParameters, activation_parameters, within
from .placement import Placement, place
from .ranges import choose_range
from .report import ChosenTypes, QuantizeReport, TensorRange, WeightRange

Progress = Callable[[int, int], None]

_QUANTIZED_OPS = frozenset(
    {
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "ConvInteger",
        "MatMulInteger",
        "MatMulNBits",
        "DynamicQuantizeMatMul",
        "MatMulIntegerToFloat",
        "QAttention",
        "QGemm",
    }
)


@dataclass(frozen=True)
class QuantizeOutcome:
    """A quantized model and what was done.

    Attributes:
        model: The model with Q/DQ.
        report: Types and why, ranges, errors, and the nodes that stay float.
    """

    model: ir.Model
    report: QuantizeReport


def quantize(
    model: ir.Model,
    data: CalibrationData,
    options: QuantizeOptions | None = None,
    *,
    target: Target,
    runner: Runner | None = None,
    progress: Progress | None = None,
) -> QuantizeOutcome:
    """Quantize a model for a target from calibration data.

    Args:
        model: A float32 model, left as it is.
        data: The samples that ranges are taken from.
        options: How; the defaults if left out.
        target: The hardware: it decides types, zero-points and where integers pay.
        runner: Executes graphs; ONNX Runtime by default.
        progress: Told how many samples are done.

    Returns:
        A new model and its report.

    Raises:
        InputError: The model is quantized already, or nothing in it can become integer.
        ModelError: A weight is not finite, the model is half precision, or its opset cannot be raised.
        DataError: Samples do not fit the model, or hold NaN or infinity.
        LimitError: The statistics do not fit the memory cap.
    """
    options, runner = options or QuantizeOptions(), runner or OrtRunner()
    refuse_quantized(model, force=options.force)
    _refuse_half(model)
    data = data.for_model(input_specs(model))
    before = measure_graph(model)
    base, opset = _prepare(model, target, data, runner)
    shapes = sample_shapes_of(base, data, runner)
    join_biases(base, shapes)
    symmetric = target.zero_point == "symmetric" if options.symmetric is None else options.symmetric
    placement = place(base, target, options, shapes, symmetric=symmetric)
    seen = _observe(base, data, placement, options, runner, progress)
    parameters = _parameters(placement, seen, target, options, symmetric)
    result, written = _write(base, placement, parameters, target, options, symmetric)
    report = _report(placement, parameters, seen, written, target, options, symmetric)
    report.before, report.after, report.opset = before, measure_graph(result), opset
    report.samples, report.fingerprint = len(data), data.fingerprint
    if options.error_samples:
        report.layers = layer_errors((base, result), placement, written, data, options, runner, shapes)
    return QuantizeOutcome(result, report)


def refuse_quantized(model: ir.Model, *, force: bool) -> None:
    """Refuse a model that holds quantized operators already.

    Raises:
        InputError: It does, and ``force`` is not set.
    """
    if force:
        return
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.op_type in _QUANTIZED_OPS or node.op_type.startswith("QLinear"):
            raise InputError(
                f"the model is quantized already ({node.op_type} {node.name!r})",
                remedy="quantize the float model, or take this one as it is with --force",
            )


def _refuse_half(model: ir.Model) -> None:
    half = {ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE}
    found = [v for v in model.graph.initializers.values() if v.dtype in half and (v.const_value or v).shape]
    if found and not any(v.dtype == ir.DataType.FLOAT for v in model.graph.initializers.values()):
        raise ModelError(
            f"the weights are {found[0].dtype}, quantization starts from float32",
            remedy="quantize the float32 model that this one was made from",
        )


def _prepare(
    model: ir.Model, target: Target, data: CalibrationData, runner: Runner
) -> tuple[ir.Model, tuple[int, int]]:
    """A clean copy of the model at an opset that Q/DQ can be written in."""
    wide = {target.activation_type, target.weight_type} & {"uint16", "int16"}
    base = model.clone()
    CleanupPass()(base)
    before = base.opset_imports.get("", 0)
    base = raise_opset(base, WIDE_OPSET if wide else PER_CHANNEL_OPSET, data, runner)
    if base.opset_imports.get("", 0) != before:
        CleanupPass()(base)
    postpone_normalizations(base)
    return base, (before, base.opset_imports.get("", 0))


def _observe(
    model: ir.Model,
    data: CalibrationData,
    placement: Placement,
    options: QuantizeOptions,
    runner: Runner,
    progress: Progress | None,
) -> dict[str, MinMax | Histogram]:
    """What each value that has parameters of its own holds over the samples."""
    roots = {placement.root(v).name or "": None for v in placement.values}
    kind = MinMax if options.method == "minmax" else Histogram
    seen: dict[str, MinMax | Histogram] = {name: kind() for name in roots}
    collect(
        model,
        data,
        {name: [observer] for name, observer in seen.items()},
        runner=runner,
        batch_size=options.batch_size,
        memory_bytes=options.memory_bytes,
        progress=progress,
    )
    return seen


def _parameters(
    placement: Placement,
    seen: Mapping[str, MinMax | Histogram],
    target: Target,
    options: QuantizeOptions,
    symmetric: bool,
) -> dict[ir.Value, ActivationParameters]:
    """Scale and zero-point of every quantized value."""
    levels = BOUNDS[target.activation_type][1] - BOUNDS[target.activation_type][0]
    limits = {b.outputs[0]: clip_limits(b) for b in placement.absorbed.values()}
    found: dict[ir.Value, ActivationParameters] = {}
    for value in placement.values:
        root = placement.root(value)
        if root not in found:
            low, high = _range(seen[root.name or ""], options, levels, symmetric)
            own = activation_parameters(low, high, target.activation_type, symmetric=symmetric)
            limit = limits.get(root)
            found[root] = own if limit is None else within(own, limit[1])
        found[value] = found[root]
    return found


def _range(
    observer: MinMax | Histogram, options: QuantizeOptions, levels: int, symmetric: bool
) -> tuple[float, float]:
    if isinstance(observer, MinMax):
        return observer.low, observer.high
    return choose_range(
        observer, options.method, percentile=options.percentile, levels=levels, symmetric=symmetric
    )


def _write(
    base: ir.Model,
    placement: Placement,
    parameters: Mapping[ir.Value, ActivationParameters],
    target: Target,
    options: QuantizeOptions,
    symmetric: bool,
) -> tuple[ir.Model, Written]:
    """Write the placement into a copy, so that the float model stays for the comparison."""
    result = base.clone()
    twins = _twins(base, result)
    copied = Placement(
        nodes=[twins.nodes[n] for n in placement.nodes],
        absorbed={twins.nodes[a]: twins.nodes[b] for a, b in placement.absorbed.items()},
        values=[twins.values[v] for v in placement.values],
        parameters_of={twins.values[a]: twins.values[b] for a, b in placement.parameters_of.items()},
    )
    moved = {twins.values[v]: p for v, p in parameters.items()}
    written = Writer(result.graph, copied, moved, target, options, symmetric=symmetric).write()
    stock.RemoveUnusedNodesPass()(result)
    validate(result)
    return result, written


@dataclass(frozen=True)
class _Twins:
    """For each node and value of a model, the one in its copy."""

    nodes: dict[ir.Node, ir.Node]
    values: dict[ir.Value, ir.Value]


def _twins(model: ir.Model, copy: ir.Model) -> _Twins:
    nodes = dict(zip(model.graph, copy.graph, strict=True))
    values = dict(zip(model.graph.inputs, copy.graph.inputs, strict=True))
    for one, other in nodes.items():
        values |= dict(zip(one.outputs, other.outputs, strict=True))
    return _Twins(nodes, values)


def _report(
    placement: Placement,
    parameters: Mapping[ir.Value, ActivationParameters],
    seen: Mapping[str, MinMax | Histogram],
    written: Written,
    target: Target,
    options: QuantizeOptions,
    symmetric: bool,
) -> QuantizeReport:
    report = QuantizeReport("quantize", skipped=placement.skipped, method=options.method)
    report.types = _types(target, options, symmetric)
    report.applied = [
        Change(n.name or "", n.op_type, "float32", f"{target.activation_type} x {target.weight_type}")
        for n in placement.nodes
    ]
    for value in placement.values:
        root, used = placement.root(value), parameters[value]
        observer = seen[root.name or ""]
        shared = None if root is value else root.name
        report.tensors.append(
            TensorRange(
                value.name or "",
                observer.low,
                observer.high,
                used.low,
                used.high,
                used.scale,
                used.zero_point,
                shared,
                used.constant,
            )
        )
    for node, weight in written.weights.items():
        scales = weight.scale
        low, high = float(scales.min()), float(scales.max())
        report.weights.append(
            WeightRange(node, weight.axis, low, high, weight.floored, node in written.widened)
        )
    report.details = {
        "integer_nodes": len(placement.nodes),
        "float_nodes": len(placement.skipped),
        "integer_macs": sum(placement.macs.values()),
        "expected_faster": placement.pays,
        "constant_tensors": [t.value for t in report.tensors if t.constant],
    }
    return report


def _types(target: Target, options: QuantizeOptions, symmetric: bool) -> ChosenTypes:
    reasons = list(target.reasons)
    if options.symmetric is not None and symmetric != (target.zero_point == "symmetric"):
        reasons.append("the rule for zero-points was asked for by the user")
    if not options.per_channel:
        reasons.append("one scale for each weight was asked for by the user")
    return ChosenTypes(
        target=target.name,
        activation=target.activation_type,
        weight=target.weight_type,
        bias="int32",
        zero_point="symmetric" if symmetric else "asymmetric",
        per_channel=options.per_channel,
        weight_bits=7 if target.reduce_range else 8,
        reasons=tuple(reasons),
    )
