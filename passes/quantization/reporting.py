"""Writing the report of one quantization from what was decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from ...calib_data.statistics import ValueStatistics
from ...core.reports import Change
from ...core.targets import Target
from .dynamic import DynamicReport
from .insertion import Written
from .options import QuantizeOptions, used_bits
from .parameters import ActivationParameters
from .placement import Placement, same_elements
from .report import ChosenTypes, QuantizeReport, TensorRange, WeightRange


def describe(
    placement: Placement,
    parameters: Mapping[ir.Value, ActivationParameters],
    seen: Mapping[str, ValueStatistics],
    written: Written,
    target: Target,
    options: QuantizeOptions,
    inputs: Sequence[ir.Value],
) -> QuantizeReport:
    """The report, but for errors and sizes, which take a run.

    Args:
        placement: What became integer.
        parameters: Scale and zero-point of each quantized value.
        seen: What the samples held.
        written: What was written.
        target: The hardware, as the user wants it used.
        options: What was asked for.
        inputs: The model's inputs.
    """
    report = QuantizeReport("quantize", skipped=placement.skipped, method=options.method)
    report.types = _types(target, options, inputs)
    report.applied = [
        Change(n.name or "", n.op_type, "float32", f"{target.activation_type} x {target.weight_type}")
        for n in placement.nodes
    ]
    report.tensors = [_tensor(value, placement, parameters[value], seen) for value in placement.values]
    for node, weight in written.weights.items():
        low, high = float(weight.scale.min()), float(weight.scale.max())
        widened = node in written.widened
        report.weights.append(WeightRange(node, weight.axis, low, high, weight.floored, widened))
    report.details = {
        "integer_nodes": len(placement.nodes),
        "float_nodes": len(placement.skipped),
        "integer_macs": sum(placement.macs.values()),
        "expected_faster": placement.pays,
        "constant_tensors": [t.value for t in report.tensors if t.constant],
    }
    return report


def join(report: QuantizeReport, rest: DynamicReport) -> None:
    """Add what became dynamic to the report of what became static.

    Args:
        report: Changed in place.
        rest: Of recurrent layers and bodies; where it gives a reason of its own, that one stays.
    """
    reasons = [skip for skip in rest.skipped if skip.code != "not-asked"]
    known = {change.node for change in rest.applied} | {skip.node for skip in reasons}
    report.applied += rest.applied
    report.skipped = [skip for skip in report.skipped if skip.node not in known] + reasons
    report.details = {
        **report.details,
        "integer_nodes": len(report.applied),
        "dynamic_nodes": len(rest.applied),
        "float_nodes": len(report.skipped),
    }


def _tensor(
    value: ir.Value,
    placement: Placement,
    used: ActivationParameters,
    seen: Mapping[str, ValueStatistics],
) -> TensorRange:
    root = placement.root(value)
    found = seen[same_elements(root).name or ""]
    return TensorRange(
        value.name or "",
        found.low,
        found.high,
        used.low,
        used.high,
        used.scale,
        used.zero_point,
        None if root is value else root.name,
        used.constant,
    )


def _types(target: Target, options: QuantizeOptions, inputs: Sequence[ir.Value]) -> ChosenTypes:
    return ChosenTypes(
        target=target.name,
        activation=target.activation_type,
        weight=target.weight_type,
        bias="int32" if target.quantized_bias else "float32",
        zero_point=target.zero_point,
        per_channel=options.per_channel,
        weight_bits=used_bits(target, options),
        reasons=(*target.reasons, *_unfixed(target, inputs)),
        forbids=target.forbids,
    )


def _unfixed(target: Target, inputs: Sequence[ir.Value]) -> list[str]:
    """A sentence for each input whose open dimensions keep the model off the target's kernels."""
    if not target.needs_fixed_shapes:
        return []
    free = {
        v.name: [str(d) for d in v.shape or () if not isinstance(d, int)]
        for v in inputs
        if not v.is_initializer()
    }
    return [
        f"{target.name} takes no dimension without a number: fix {', '.join(dims)} of input {name!r} before it goes there"
        for name, dims in free.items()
        if dims
    ]
