"""The network of a run, layer by layer: how wide before and after, in how many bits, how fast, and how it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from ..core import ModelArtifact
from .evidence import NodeTimes
from .opening import clean
from .report import Layer
from .workspace import StepRecord

Widths = dict[tuple[str, int], tuple[int, int]]


def layers_of(
    graphs: Mapping[str, ModelArtifact], records: Sequence[StepRecord], times: NodeTimes
) -> tuple[Layer, ...]:
    """Describe every layer with a weight in the last model before quantization, or the last model.

    Args:
        graphs: The models, in the order in which they were made, by name.
        records: What each step left behind.
        times: Microseconds of each node before and after, as far as they were measured.

    Returns:
        The layers in the graph's order; empty where there is no model.
    """
    if not graphs:
        return ()
    quantized = next((r for r in reversed(records) if r.kind == "quantize"), None)
    last = list(graphs)[-1] if quantized is None else quantized.figures["source"]
    widths = _widths(records)
    figures = {} if quantized is None else quantized.figures
    noise = {layer["node"]: layer["sqnr_db"] for layer in figures.get("report", {}).get("layers", ())}
    kernels = {p["node"]: "int8" if p["is_integer"] else "float32" for p in figures.get("placement") or ()}
    bits = _bits(list(graphs.values())[-1], figures)
    found = []
    for node in clean(graphs[last])[0].load().graph:
        axis = _OUTPUT_AXES.get(node.op_type)
        weight = node.inputs[1] if len(node.inputs) > 1 else None
        if axis is None or weight is None or weight.const_value is None:
            continue
        place = axis(node) % len(weight.const_value.shape)
        width = int(weight.const_value.shape[place])
        first, left = widths.get((weight.name or "", place), (1, 1))
        name, before = node.name or "", round(width * first / left)
        kernel, (time_before, time_after) = kernels.get(name, ""), times.get(name, (None, None))
        layer = (name, node.op_type, before, width, noise.get(name), kernel, bits.get(name))
        found.append(Layer(*layer, time_before, time_after))
    return tuple(found)


def _widths(records: Sequence[StepRecord]) -> Widths:
    """For each axis of a weight that was cut, its neurons before the first cut and after the last."""
    widths: Widths = {}
    for record in records:
        if record.kind != "prune":
            continue
        for group in record.figures["report"]["plan"]:
            for name, axis in group["members"]:
                first = widths.get((name, axis), (group["width_before"], 0))[0]
                widths[(name, axis)] = (first, group["width_after"])
    return widths


def _bits(last: ModelArtifact, figures: Mapping[str, Any]) -> dict[str, int]:
    """Bits of each weight in the last model, as they are stored, or as many of them as quantization uses."""
    report = figures.get("report", {})
    used = (report.get("types") or {}).get("weight_bits", 8)
    most = {weight["node"]: used for weight in report.get("weights", ()) if "node" in weight}
    found = {}
    for node in last.load().graph:
        stored = _stored_bits(node)
        if node.name and stored is not None:
            found[node.name] = min(stored, most.get(node.name, stored))
    return found


def _stored_bits(node: ir.Node) -> int | None:
    """Bits of the second input, through Q/DQ; in blocks the node itself says how many."""
    if node.op_type == "MatMulNBits":
        return node.attributes.get_int("bits", 4)
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    source = None if weight is None else weight.producer()
    if source is not None and source.op_type == "DequantizeLinear":
        weight = source.inputs[0]
    if weight is None or weight.const_value is None or weight.dtype is None:
        return None
    return weight.dtype.bitwidth


def _gemm_axis(node: ir.Node) -> int:
    return 0 if node.attributes.get_int("transB", 0) else 1


_OUTPUT_AXES: Mapping[str, Callable[[ir.Node], Any]] = {
    "Conv": lambda node: 0,
    "ConvTranspose": lambda node: 1,
    "Gemm": _gemm_axis,
    "MatMul": lambda node: -1,
}
"""The axis of the weight (the second input) along which a layer's outputs lie."""
