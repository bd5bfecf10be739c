"""Graphs that two quantizers are compared on, and what each of the two decided for every tensor."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
from hypothesis import HealthCheck, Phase, given, settings
from onnx.backend.test.case.node import collect_testcases
from random_nets import random_nets
from sardonyx.calib_data.data import CalibrationData
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.passes import CleanupPass

OPSET = 24
"""The newest opset that the operator cases are written in; what they hold is the same since."""

QUANTIZED_OPS = frozenset(
    "Add AveragePool Clip Concat Conv Flatten Gemm GlobalAveragePool LeakyRelu MatMul MaxPool Mul Relu "
    "Reshape Sigmoid Squeeze Transpose Unsqueeze".split()
)
"""Operators that some target runs in integers."""

_SUFFIX = re.compile(r"_(quantized_*|QuantizeLinear_Output|QuantizeLinear_Input)$")


@dataclass(frozen=True)
class Graph:
    """A float graph that is clean already, with samples for it.

    Attributes:
        name: What it is called.
        model: The graph; no pass of cleaning finds anything more in it.
        data: Samples.
    """

    name: str
    model: ir.Model
    data: CalibrationData


@dataclass(frozen=True)
class Decided:
    """Scale and zero-point of a tensor.

    Attributes:
        scale: Shape ``()``, or ``(channels,)``.
        zero_point: Of the same shape.
        owner: The tensor whose parameters these are; another one's where they are shared.
        is_constant: Whether the tensor is a weight, a bias or another constant.
    """

    scale: np.ndarray
    zero_point: np.ndarray
    owner: str
    is_constant: bool


def decided(model: onnx.ModelProto) -> dict[str, Decided]:
    """What a model with Q/DQ says of each float tensor, by the tensor's name before quantization."""
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear":
            integer, scale, zero = node.input
            owner = _SUFFIX.sub("", scale.rstrip("_").removesuffix("_scale"))
            found[_SUFFIX.sub("", integer)] = Decided(
                constants[scale], constants[zero], owner, integer in constants
            )
    return found


def every_range(graph: Graph) -> dict[str, tuple[np.float32, np.float32]]:
    """Smallest and largest element of each float tensor over the samples, the runtime fusing nothing."""
    values = [*graph.model.graph.inputs, *(v for node in graph.model.graph for v in node.outputs)]
    names = [v.name or "" for v in values if v.dtype == ir.DataType.FLOAT and v.name]
    found: dict[str, tuple[np.float32, np.float32]] = {}
    data = graph.data.for_model(_specs(graph.model))
    for arrays in OrtRunner().run(graph.model, data.batches(len(data)), names):
        for name, array in arrays.items():
            if array.size:
                low, high = found.get(name, (np.float32(np.inf), np.float32(-np.inf)))
                found[name] = (min(low, array.min()), max(high, array.max()))
    return found


def operator_graphs() -> Iterator[Graph]:
    """The operator cases of the onnx package that hold an operator of :data:`QUANTIZED_OPS` on floats."""
    for case in collect_testcases(""):
        is_plain = "_expanded" not in case.name and not case.model.graph.node[0].domain
        if is_plain and any(n.op_type in QUANTIZED_OPS for n in case.model.graph.node):
            graph = _operator_graph(case)
            if graph is not None:
                yield graph


def _operator_graph(case) -> Graph | None:
    """A case with its first input free, the others constant, and a matrix product behind its result."""
    proto = onnx.ModelProto.FromString(case.model.SerializeToString())
    arrays, (result, *_) = case.data_sets[0]
    first = arrays[0]
    floats = isinstance(result, np.ndarray) and first.dtype == result.dtype == np.float32
    print(case.name) if 0 else None
    if not floats or not result.ndim or not result.size or not np.isfinite(result).all() or not first.ndim:
        return None
    inputs, graph = list(proto.graph.input), proto.graph
    free = [i for i, a in enumerate(arrays) if i == 0 or case.model.graph.node[0].op_type == "Concat"]
    feeds = {inputs[i].name: arrays[i] for i in free if len(arrays[i]) == len(first)}
    del graph.input[:]
    for value, array in zip(inputs, arrays, strict=True):
        if value.name in feeds:
            graph.input.append(value)
        else:
            graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), value.name))
    _append_product(graph, result.shape[-1])
    for entry in proto.opset_import:
        entry.version = min(entry.version, OPSET) if entry.domain in {"", "ai.onnx"} else entry.version
    return prepared(case.name, ir.from_proto(proto), CalibrationData.from_arrays(feeds))


def _append_product(graph: onnx.GraphProto, width: int) -> None:
    """Read the first output by a matrix product, for a graph without a layer is refused."""
    weight = np.random.default_rng(width).standard_normal((width, 4)).astype(np.float32)
    graph.initializer.append(onnx.numpy_helper.from_array(weight, "last_weight"))
    graph.node.append(onnx.helper.make_node("MatMul", [graph.output[0].name, "last_weight"], ["last"]))
    del graph.output[:]
    graph.output.append(onnx.helper.make_tensor_value_info("last", onnx.TensorProto.FLOAT, None))
    for index, node in enumerate(graph.node):
        node.name = f"n{index}"


def drawn_graphs(count: int) -> list[Graph]:
    """Random networks, the same ones every time."""
    found: list[Graph] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(random_nets())
    def draw(model: ir.Model) -> None:
        images = np.random.default_rng(len(found)).standard_normal((4, 3, 8, 8)).astype(np.float32)
        data = CalibrationData.from_arrays({"x": images})
        found.append(prepared(f"random {len(found)}", model, data))

    draw()
    return found


def prepared(name: str, model: ir.Model, data: CalibrationData) -> Graph:
    """A graph for both: clean, so that cleaning it again changes no name."""
    CleanupPass()(model)
    return Graph(name, model, data)


def _specs(model: ir.Model):
    from sardonyx.core.tensors import input_specs

    return input_specs(model)


def ranges_for_cache(ranges: Mapping[str, tuple[np.float32, np.float32]]) -> dict[str, list[np.ndarray]]:
    """As onnxruntime's calibration keeps them."""
    return {name: [np.asarray(low), np.asarray(high)] for name, (low, high) in ranges.items()}
