"""Float graphs that hold operators with integer kernels, with samples: operator cases, networks drawn, networks known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import onnx
import onnx_ir as ir
from hypothesis import HealthCheck, Phase, given, settings
from nets import Net
from onnx.backend.test.case.node import collect_testcases
from random_nets import random_nets
from sardonyx.calib_data.data import CalibrationData
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.core.tensors import input_specs
from sardonyx.passes.quantization.eligibility import ROLES

NEWEST_OPSET = 24
"""What the operator cases hold has not changed since this opset, which ONNX Runtime has all kernels for."""

QUANTIZABLE_OPS = frozenset(ROLES) | {"Clip", "Relu"}
Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Graph:
    """A float graph and samples for it."""

    name: str
    model: ir.Model
    data: CalibrationData


@cache
def operator_graphs() -> tuple[Graph, ...]:
    """The operator cases of the onnx package on float tensors that hold an operator with an integer kernel."""
    with np.errstate(all="ignore"):
        cases = collect_testcases("")
    found = []
    for case in cases:
        plain = "_expanded" not in case.name and not case.model.graph.node[0].domain
        if plain and any(n.op_type in QUANTIZABLE_OPS for n in case.model.graph.node) and _is_float(case):
            found.append(_operator_graph(case))
    return tuple(found)


def _is_float(case) -> bool:
    inputs, (result, *_) = case.data_sets[0]
    if not isinstance(result, np.ndarray) or result.dtype != np.float32 or not result.ndim or not result.size:
        return False
    return inputs[0].dtype == np.float32 and inputs[0].ndim > 0 and bool(np.isfinite(result).all())


def _operator_graph(case) -> Graph:
    """A case with its data inputs free, the others constant, and a matrix product behind its first result."""
    proto = onnx.ModelProto.FromString(case.model.SerializeToString())
    graph, (arrays, (result, *_)) = proto.graph, case.data_sets[0]
    inputs = list(graph.input)
    joins = graph.node[0].op_type == "Concat"
    free = [v for v, a in zip(inputs, arrays, strict=True) if joins or v is inputs[0]]
    feeds = {v.name: a for v, a in zip(inputs, arrays, strict=True) if v in free}
    if len({len(a) for a in feeds.values()}) > 1:
        feeds, free = {inputs[0].name: arrays[0]}, inputs[:1]
    constants = [(v, a) for v, a in zip(inputs, arrays, strict=True) if v not in free]
    graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(a), v.name) for v, a in constants)
    del graph.input[:]
    graph.input.extend(free)
    _append_product(graph, result.shape[-1])
    for entry in proto.opset_import:
        entry.version = min(entry.version, NEWEST_OPSET) if not entry.domain else entry.version
    return Graph(case.name, ir.from_proto(proto), CalibrationData.from_arrays(feeds))


def _append_product(graph: onnx.GraphProto, width: int) -> None:
    """Read the first output by a matrix product, for a graph without a layer is refused."""
    weight = np.random.default_rng(width).standard_normal((width, 4)).astype(np.float32)
    graph.initializer.append(onnx.numpy_helper.from_array(weight, "last_weight"))
    graph.node.append(onnx.helper.make_node("MatMul", [graph.output[0].name, "last_weight"], ["last"]))
    del graph.output[:]
    graph.output.append(onnx.helper.make_tensor_value_info("last", onnx.TensorProto.FLOAT, None))
    for index, node in enumerate(graph.node):
        node.name = f"n{index}"


@cache
def drawn_graphs(count: int) -> tuple[Graph, ...]:
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
        found.append(Graph(f"random {len(found)}", model, CalibrationData.from_arrays({"x": images})))

    draw()
    return tuple(found)


@cache
def zoo_graph(name: str) -> Graph:
    """A small network of a well-known shape, with random weights."""
    from zoo import exported

    model, samples = exported(name, samples=8)
    return Graph(name, model, CalibrationData.from_arrays({"x": samples}))


@cache
def made_graphs() -> tuple[Graph, ...]:
    """Convolutions of which one has a channel of zeros, one a bias beyond 32 bits, and one an input of zeros."""
    found = []
    for name in ("channel of zeros", "large bias", "input of zeros"):
        n = Net()
        weight, bias = n.random.standard_normal((4, 3, 1, 1)), np.zeros(4)
        weight[2] *= name != "channel of zeros"
        if name == "large bias":
            weight[:2], bias[:2] = 1e-7 * weight[:2], (3.0, -1.0)
        x = n.relu(n.act("Neg", n.relu(n.x))) if name == "input of zeros" else n.x
        y = n.op("Conv", x, n.floats(weight), n.floats(bias))
        n.widths[y.name] = 4
        images = n.random.standard_normal((8, 3, 8, 8)).astype(np.float32)
        found.append(Graph(name, n.model(n.head(y)), CalibrationData.from_arrays({"x": images})))
    return tuple(found)


def float_values(model: ir.Model) -> list[str]:
    """Names of all float32 values of a graph that are not constant."""
    values = [*model.graph.inputs, *(v for node in model.graph for v in node.outputs)]
    return [v.name for v in values if v.dtype == ir.DataType.FLOAT and v.name]


def runs(model: ir.Model, data: CalibrationData, names: Sequence[str]) -> Iterator[Values]:
    """Values of a graph over the samples, nothing fused, in the batches that calibration takes."""
    data = data.for_model(input_specs(model))
    return OrtRunner().run(model, data.batches(data.batch_size_for(32)), names)
