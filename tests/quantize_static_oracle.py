"""Scales and zero-points beside onnxruntime.quantization's: what both decide for a graph, and every reason to differ.

Both quantize the same float graph with the same ranges, those of the smallest and largest elements seen. Tensors are
matched by name. A scale may differ by one unit in the last place, a bias's by three, for it is a product of two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static
from onnxruntime.quantization.calibrate import TensorData, TensorsData, save_tensors_data
from onnxruntime.quantization.quant_utils import compute_scale_zp, get_qmin_qmax_for_qType
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry
from quantization_graphs import Graph, float_values, runs
from sardonyx.core.serialize import model_bytes
from sardonyx.core.targets import get_target
from sardonyx.passes.quantization import QuantizeOptions, QuantizeOutcome, quantize
from sardonyx.passes.quantization.eligibility import ROLES
from sardonyx.passes.quantization.placement import Placement

Range = tuple[np.float32, np.float32]

SUFFIX = re.compile(r"_(quantized_*|QuantizeLinear_Output)$")
OUR_MOVES = frozenset(op for op, role in ROLES.items() if role == "move")
THEIR_MOVES = OUR_MOVES | {"AveragePool", "Gather", "GatherElements", "Pad", "Slice", "Split", "TopK"}


@dataclass(frozen=True)
class Setting:
    """What is asked of both, and what comes of it.

    Attributes:
        options: What ours is asked.
        theirs: What theirs is asked.
        differences: The reasons of :data:`DIFFERENCES` that must occur.
    """

    options: QuantizeOptions
    theirs: dict[str, Any]
    differences: frozenset[str]


@dataclass(frozen=True)
class Decided:
    """Scale and zero-point of a tensor, shape ``(1,)`` or ``(channels,)``."""

    scale: np.ndarray
    zero_point: np.ndarray


@dataclass(frozen=True)
class Compared:
    """What both decided for the tensors of one float graph."""

    model: ir.Model
    ranges: dict[str, Range]
    ours: dict[str, Decided]
    theirs: dict[str, Decided]
    setting: Setting
    placement: Placement

    @property
    def integer_nodes(self) -> set[str]:
        """Nodes that ours runs in integers, what they absorb included."""
        return {n.name for n in (*self.placement.nodes, *self.placement.absorbed.values())}

    def neighbours(self, name: str) -> list[ir.Node]:
        """The nodes that make or read a tensor."""
        return [
            n for n in self.model.graph for v in (*n.inputs, *n.outputs) if v is not None and v.name == name
        ]

    def way(self, name: str, moves: Iterable[str]) -> Iterator[str]:
        """A tensor, what it was moved from, and so on."""
        makers = {v.name: node for node in self.model.graph for v in node.outputs}
        yield name
        while name in makers and makers[name].op_type in moves and makers[name].inputs[0].name in self.ranges:
            name = makers[name].inputs[0].name
            yield name

    def root(self, name: str) -> str:
        """The tensor whose range is ours for ``name``."""
        return list(self.way(name, OUR_MOVES))[-1]

    def maker(self, name: str) -> str:
        """The operator that makes a tensor."""
        return next((n.op_type for n in self.model.graph for v in n.outputs if v.name == name), "")

    def reader(self, name: str) -> tuple[ir.Node, int]:
        """The first node that reads a tensor, and as which input; the last node and -1 where none does."""
        uses = (
            (n, i)
            for n in self.model.graph
            for i, v in enumerate(n.inputs)
            if v is not None and v.name == name
        )
        return next(uses, (self.model.graph[-1], -1))

    def are(self, found: Decided, seen: Range) -> bool:
        """Whether parameters are those of a range, by onnxruntime's formula."""
        kind = self.setting.theirs["activation_type"].tensor_type
        symmetric = self.setting.options.symmetric is True
        bounds = get_qmin_qmax_for_qType(kind, symmetric=symmetric)
        zero, scale = compute_scale_zp(*(np.asarray(x, np.float32) for x in seen), *bounds, symmetric)
        return same(found, Decided(np.atleast_1d(scale), np.atleast_1d(zero)))


def near(a: np.ndarray, b: np.ndarray, ulps: int) -> bool:
    return a.shape == b.shape and bool(np.all(np.abs(a - b) <= ulps * np.spacing(np.maximum(a, b))))


def same(a: Decided, b: Decided) -> bool:
    ulps = 3 if a.zero_point.dtype == np.int32 else 1
    return near(a.scale, b.scale, ulps) and np.array_equal(a.zero_point, b.zero_point)


def moved(both: Compared, name: str) -> bool:
    """What MaxPool, Resize and the like hand on keeps the parameters of what they read; theirs may find a range."""
    root = both.root(name)
    ours = root != name and both.are(both.ours[name], both.ranges[root])
    return ours and both.are(both.theirs[name], both.ranges[name])


def selected(both: Compared, name: str) -> bool:
    """What Slice, Split, Gather and AveragePool make has a range of its own; theirs keeps that of what they read."""
    ours = name in both.ranges and both.are(both.ours[name], both.ranges[both.root(name)])
    return ours and any(
        both.are(both.theirs[name], both.ranges[other]) for other in [*both.way(name, THEIR_MOVES)][1:]
    )


def softmax(both: Compared, name: str) -> bool:
    """A Softmax has the range that was seen; theirs is always [0, 1]."""
    root = both.root(name)
    ours = both.maker(root) == "Softmax" and both.are(both.ours[name], both.ranges[root])
    return ours and both.are(both.theirs[name], (0.0, 1.0))


def always_zero(both: Compared, name: str) -> bool:
    """What was zero in every sample gets the range [0, 1]; theirs the scale 1."""
    ours = not any(both.ranges.get(both.root(name), (1.0,))) and both.are(both.ours[name], (0.0, 1.0))
    return ours and both.theirs[name].scale.tolist() == [1.0]


def bias(both: Compared, name: str) -> bool:
    """A bias's scale is that of its layer's input times the weight's, whatever these are; beta is in the numbers."""
    node, index = both.reader(name)
    if index != 2:
        return False
    x, weight = node.inputs[0].name, node.inputs[1].name
    beta = np.float32(node.attributes.get_float("beta", 1.0) if node.op_type == "Gemm" else 1.0)
    ours, theirs = (side[x].scale * side[weight].scale for side in (both.ours, both.theirs))
    return near(both.ours[name].scale, ours, 1) and near(both.theirs[name].scale, theirs * beta, 1)


def factor(both: Compared, name: str) -> bool:
    """The alpha of a Gemm is in its weight's integers; theirs leaves it to the node."""
    node, index = both.reader(name)
    alpha = node.attributes.get_float("alpha", 1.0) if node.op_type == "Gemm" else 1.0
    scales = both.theirs[name].scale * np.float32(abs(alpha))
    return index == 1 and alpha != 1.0 and near(both.ours[name].scale, scales, 1)


def stacked(both: Compared, name: str) -> bool:
    """A weight of more than two dimensions has one scale in a MatMul; theirs one for each row of its matrices."""
    node, index = both.reader(name)
    is_stack = (
        node.op_type == "MatMul" and index == 1 and len(both.theirs[name].scale) == node.inputs[1].shape[1]
    )
    ours, theirs = both.ours[name].scale, both.theirs[name].scale
    return is_stack and node.inputs[1].shape.rank() > 2 and near(ours, theirs.max(keepdims=True), 1)


def empty_channel(both: Compared, name: str) -> bool:
    """A channel of zeros has the largest scale of the layer; theirs the scale 1."""
    ours, theirs = both.ours[name].scale, both.theirs[name].scale
    if both.reader(name)[1] != 1 or ours.shape != theirs.shape:
        return False
    empty = theirs == 1.0
    return (
        bool(empty.any())
        and near(ours[~empty], theirs[~empty], 1)
        and bool((ours[empty] == ours.max()).all())
    )


def large_bias(both: Compared, name: str) -> bool:
    """A scale that grows for the bias leaves a thousandth of 32 bits unused; theirs a ten-thousandth."""
    node, index = both.reader(name)
    ours, theirs = both.ours[name].scale, both.theirs[name].scale
    if index != 1 or len(node.inputs) < 3 or ours.shape != theirs.shape:
        return False
    least = np.abs(node.inputs[2].const_value.numpy().reshape(-1)) / (2**31 - 1)
    least = least / both.ours[node.inputs[0].name].scale.astype(np.float64)
    least = least if least.size == ours.size else least.max(keepdims=True)
    grew = np.isclose(ours, least / 0.999, rtol=1e-6)
    return (
        bool(grew.any())
        and np.allclose(theirs[grew], 1.0001 * least[grew])
        and near(ours[~grew], theirs[~grew], 1)
    )


def seven_bits(both: Compared, name: str) -> bool:
    """A weight's seven bits are [-63, 63]; theirs [-64, 64]."""
    is_reduced = both.setting.options.reduce_range is True and both.theirs[name].zero_point.dtype == np.int8
    return is_reduced and near(both.ours[name].scale * np.float32(63), both.theirs[name].scale * 64, 2)


def eight_bits(both: Compared, name: str) -> bool:
    """A constant that is added or multiplied keeps eight bits, for nothing sums it; theirs has seven."""
    if both.setting.options.reduce_range is not True or name not in both.model.graph.initializers:
        return False
    array = both.model.graph.initializers[name].const_value.numpy()
    return both.are(both.ours[name], (array.min(), array.max())) and near(
        both.ours[name].scale * np.float32(255), both.theirs[name].scale * 127, 2
    )


Explanation = Callable[[Compared, str], bool]
DIFFERENCES: dict[str, Explanation] = {
    f.__name__: f
    for f in (
        moved,
        selected,
        softmax,
        always_zero,
        bias,
        factor,
        stacked,
        empty_channel,
        large_bias,
        seven_bits,
        eight_bits,
    )
}
"""Every reason to differ; docs/quantization_differences.md lists the same ones."""


def float_result(both: Compared, name: str) -> bool:
    """What leaves the graph, is never read, or goes from a matrix product to float nodes stays float; theirs quantizes it."""
    if name in both.ours:
        return False
    ends = {v.name for v in both.model.graph.outputs}
    readers = {n.name for n in both.neighbours(name) if n.outputs[0].name != name}
    is_for_float = both.maker(name) in {"MatMul", "Gemm"} and not readers & both.integer_nodes
    return name in ends or both.reader(name)[1] == -1 or is_for_float


def float_nodes(both: Compared, name: str) -> bool:
    """What no integer node makes or reads stays float, and the report says why; theirs goes through Pad, Slice, Split."""
    around = {n.name for n in both.neighbours(name)}
    told = {skip.node for skip in both.placement.skipped}
    return name not in both.ours and not around & both.integer_nodes and around <= told


def absorbed(both: Compared, name: str) -> bool:
    """What a layer hands to the Relu or Clip behind it stays float, for both become one kernel; theirs quantizes it too."""
    return name not in both.ours and name in {n.outputs[0].name for n in both.placement.absorbed}


def carried(both: Compared, name: str) -> bool:
    """Reshape, Transpose, AveragePool become integer wherever it pays; theirs only behind a tensor that is quantized."""
    nodes = [n for n in both.neighbours(name) if n.name in both.integer_nodes]
    return name not in both.theirs and any(n.op_type in THEIR_MOVES for n in nodes)


def more_operators(both: Compared, name: str) -> bool:
    """An operator that the target has an integer kernel for, and that theirs does not know (Tanh)."""
    nodes = [n for n in both.neighbours(name) if n.name in both.integer_nodes]
    known = QDQRegistry.keys() | QLinearOpsRegistry.keys()
    return name not in both.theirs and any(n.op_type not in known for n in nodes)


def removed(both: Compared, name: str) -> bool:
    """A Relu or Clip that the range behind it makes superfluous stays behind a Mul and the like; theirs removes it there too."""
    node, index = both.reader(name)
    is_gone = node.op_type in {"Relu", "Clip"} and index == 0 and node.outputs[0].name in both.theirs
    return name not in both.theirs and is_gone


SET_DIFFERENCES: dict[str, Explanation] = {
    f.__name__: f for f in (float_result, float_nodes, absorbed, carried, more_operators, removed)
}
"""Every reason why only one of both quantizes a tensor; docs/quantization_differences.md lists the same ones."""

OURS = QuantizeOptions(error_samples=0, keep_statistics=False)
PER_CHANNEL = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "per_channel": True}
SYMMETRIC = {"activation_type": QuantType.QInt8, "extra_options": {"ActivationSymmetric": True}}


def decided(model: onnx.ModelProto) -> dict[str, Decided]:
    """What a model with Q/DQ says of each float tensor, by the tensor's name before quantization."""
    constants = {t.name: np.atleast_1d(onnx.numpy_helper.to_array(t)) for t in model.graph.initializer}
    return {
        SUFFIX.sub("", node.input[0]): Decided(constants[node.input[1]], constants[node.input[2]])
        for node in model.graph.node
        if node.op_type == "DequantizeLinear"
    }


def ranges_of(outcome: QuantizeOutcome, graph: Graph) -> dict[str, Range]:
    """Ranges measured apart; where ours measured too, both must agree but for float32 sums, and ours is taken."""
    model, found = outcome.trace.model, {}
    for values in runs(model, graph.data, float_values(model)):
        for name, array in values.items():
            low, high = found.get(name, (np.float32(np.inf), np.float32(-np.inf)))
            if array.size:
                found[name] = (min(low, array.min()), max(high, array.max()))
    for tensor in outcome.report.tensors:
        if tensor.shared_with is None:
            seen, size = (tensor.seen_low, tensor.seen_high), max(map(abs, found[tensor.value]))
            np.testing.assert_allclose(seen, found[tensor.value], rtol=0.0, atol=1e-5 * size)
            found[tensor.value] = (np.float32(tensor.seen_low), np.float32(tensor.seen_high))
    return found


def compare(graph: Graph, setting: Setting, folder: Path) -> Compared:
    """Quantize with both."""
    outcome = quantize(graph.model, graph.data, setting.options, target=get_target("openvino"))
    model, ranges = outcome.trace.model, ranges_of(outcome, graph)
    data = {n: TensorData(lowest=np.asarray(a), highest=np.asarray(b)) for n, (a, b) in ranges.items()}
    save_tensors_data(TensorsData(CalibrationMethod.MinMax, data), folder / "ranges.json")
    given = onnx.ModelProto.FromString(model_bytes(model))
    quantize_static(
        given, folder / "q.onnx", None, calibration_cache_path=folder / "ranges.json", **setting.theirs
    )
    ours = decided(onnx.ModelProto.FromString(model_bytes(outcome.model)))
    theirs = decided(onnx.load(folder / "q.onnx"))
    return Compared(model, ranges, ours, theirs, setting, outcome.trace.placement)


def bias_of_another_shape(model: ir.Model) -> bool:
    """Whether a Gemm adds anything but one number for each column, on which theirs fails where channels have scales."""
    gemms = [n for n in model.graph if n.op_type == "Gemm" and len(n.inputs) > 2]
    columns = [n.inputs[1].shape[1 - n.attributes.get_int("transB", 0)] for n in gemms]
    return any(list(n.inputs[2].shape) != [size] for n, size in zip(gemms, columns, strict=True))


def channels_in_groups(model: ir.Model) -> bool:
    """Whether a ConvTranspose has groups, on which theirs fails where channels have scales."""
    return any(n.op_type == "ConvTranspose" and n.attributes.get_int("group", 1) > 1 for n in model.graph)
