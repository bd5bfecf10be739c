"""Small models and samples for the runtime's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core import ModelArtifact

Build = Callable[..., ModelArtifact]


def artifact(
    nodes: list[onnx.NodeProto],
    outputs: dict[str, list[Any]],
    weights: dict[str, np.ndarray],
    shape: list[Any],
    domains: tuple[str, ...] = (),
) -> ModelArtifact:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(a, n) for n, a in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(d, 1) for d in domains)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return ModelArtifact.of(ir.from_proto(model))


@pytest.fixture
def linear() -> Build:
    """``y = x W``, with a seeded W of shape (4, 3) and a second output of rank 1."""

    def build(noise: float = 0.0, batch: Any = "N", scale: float = 1.0) -> ModelArtifact:
        random = np.random.default_rng(0)
        weight = random.normal(size=(4, 3)) * scale + noise * random.normal(size=(4, 3))
        nodes = [
            helper.make_node("ReduceSum", ["x", "axes"], ["total"], "sum", keepdims=0),
            helper.make_node("MatMul", ["x", "w"], ["y"], "product"),
        ]
        weights = {"w": weight.astype(np.float32), "axes": np.array([1])}
        return artifact(nodes, {"total": [batch], "y": [batch, 3]}, weights, [batch, 4])

    return build


@pytest.fixture
def data() -> CalibrationData:
    """50 samples for ``linear``, labelled by it."""
    weight = np.random.default_rng(0).normal(size=(4, 3))
    x = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    return CalibrationData.from_arrays({"x": x}, (x @ weight).argmax(1))


@pytest.fixture
def stack() -> Build:
    """A chain of square matrix products: the more, the slower."""

    def build(depth: int, width: int = 64) -> ModelArtifact:
        weights = {f"w{i}": np.eye(width, dtype=np.float32) for i in range(depth)}
        names = ["x", *(f"v{i}" for i in range(1, depth)), "y"]
        nodes = []
        for i in range(depth):
            nodes.append(helper.make_node("MatMul", [names[i], f"w{i}"], [f"p{i}"], f"product{i}"))
            nodes.append(helper.make_node("Sin", [f"p{i}"], [names[i + 1]], f"sin{i}"))
        return artifact(nodes, {"y": ["N", width]}, weights, ["N", width])

    return build


@pytest.fixture
def quantized() -> ModelArtifact:
    """Q/DQ around one convolution, and a second convolution that stays float."""
    scalars = {"s": np.float32(0.05), "z": np.uint8(128), "ws": np.float32(0.01), "wz": np.int8(0)}
    weights = {name: np.array(value) for name, value in scalars.items()}
    random = np.random.default_rng(0)
    weights["w"] = random.integers(-100, 100, (16, 4, 3, 3)).astype(np.int8)
    weights["f"] = random.normal(size=(8, 16, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"], "q_in"),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"], "dq_in"),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], "dq_w"),
        helper.make_node("Conv", ["xd", "wd"], ["c"], "first"),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["cq"], "q_out"),
        helper.make_node("DequantizeLinear", ["cq", "s", "z"], ["cd"], "dq_out"),
        helper.make_node("Conv", ["cd", "f"], ["y"], "second"),
    ]
    return artifact(nodes, {"y": ["N", 8, 4, 4]}, weights, ["N", 4, 8, 8])


@pytest.fixture
def build() -> Build:
    """The general builder."""
    return artifact
