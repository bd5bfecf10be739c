"""The network of a run, layer by layer: how wide before and after, and how it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from .chain import Chain
from .opening import clean
from .report import Layer
from .workspace import StepRecord

Widths = dict[tuple[str, int], tuple[int, int]]


def layers_of(chain: Chain, records: Sequence[StepRecord]) -> tuple[Layer, ...]:
    """Describe every layer with a weight in the last model before quantization, or the last model.

    Args:
        chain: The run.
        records: What each step left behind.

    Returns:
        The layers in the graph's order; empty where the run makes no graph.
    """
    if not chain.graphs:
        return ()
    quantized = next((r for r in reversed(records) if r.kind == "quantize"), None)
    last = next(reversed(chain.graphs)) if quantized is None else quantized.figures["source"]
    widths = _widths(records)
    figures = {} if quantized is None else quantized.figures
    noise = {layer["node"]: layer["sqnr_db"] for layer in figures.get("report", {}).get("layers", ())}
    kernels = {p["node"]: "int8" if p["is_integer"] else "float32" for p in figures.get("placement") or ()}
    found = []
    for node in clean(chain.graphs[last])[0].load().graph:
        axis = _OUTPUT_AXES.get(node.op_type)
        weight = node.inputs[1] if len(node.inputs) > 1 else None
        if axis is None or weight is None or weight.const_value is None:
            continue
        place = axis(node) % len(weight.const_value.shape)
        width = int(weight.const_value.shape[place])
        first, left = widths.get((weight.name or "", place), (1, 1))
        name, before = node.name or "", round(width * first / left)
        found.append(Layer(name, node.op_type, before, width, noise.get(name), kernels.get(name, "")))
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


def _gemm_axis(node: ir.Node) -> int:
    return 0 if node.attributes.get_int("transB", 0) else 1


_OUTPUT_AXES: Mapping[str, Callable[[ir.Node], Any]] = {
    "Conv": lambda node: 0,
    "ConvTranspose": lambda node: 1,
    "Gemm": _gemm_axis,
    "MatMul": lambda node: -1,
}
"""The axis of the weight (the second input) along which a layer's outputs lie."""
