"""Small models and samples, made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx import CalibrationData, ModelArtifact
from sardonyx.core.tensors import Array


def constant(name: str, array: Array) -> ir.Value:
    return ir.Value(name=name, const_value=ir.tensor(array.astype(np.float32), name=name))


def small_network(seed: int = 0, width: int = 32) -> ir.Model:
    """Two convolutions and a linear layer: images (N, 3, 8, 8) to 4 logits."""
    random = np.random.default_rng(seed)
    image = ir.val("image", ir.DataType.FLOAT, ["batch", 3, 8, 8])
    weights = [
        constant("first.weight", random.normal(0, 0.3, (width, 3, 3, 3))),
        constant("second.weight", random.normal(0, 0.1, (width, width, 3, 3))),
        constant("head.weight", random.normal(0, 0.3, (4, width))),
        constant("head.bias", random.normal(0, 0.1, 4)),
    ]
    first = ir.node("Conv", [image, weights[0]], {"pads": [1, 1, 1, 1]}, name="first")
    second = ir.node("Conv", [ir_relu(first), weights[1]], {"pads": [1, 1, 1, 1]}, name="second")
    relu = ir.node("Relu", second.outputs)
    pooled = ir.node("GlobalAveragePool", relu.outputs)
    flat = ir.node("Flatten", pooled.outputs)
    head = ir.node("Gemm", [*flat.outputs, *weights[2:]], {"transB": 1}, name="head")
    logits = head.outputs[0]
    logits.name, logits.shape, logits.dtype = "logits", ir.Shape(["batch", 4]), ir.DataType.FLOAT
    between = first.outputs[0].uses()[0].node
    nodes = [first, between, second, relu, pooled, flat, head]
    graph = ir.Graph(
        [image], [logits], nodes=nodes, initializers=weights, opset_imports={"": 17}, name="small"
    )
    return ir.Model(graph, ir_version=9)


def ir_relu(node: ir.Node) -> ir.Value:
    return ir.node("Relu", node.outputs).outputs[0]


@pytest.fixture(scope="session")
def model() -> ModelArtifact:
    return ModelArtifact.of(small_network())


@pytest.fixture(scope="session")
def data() -> CalibrationData:
    """64 images with the labels that the model itself gives them, so that it is always right."""
    images = np.random.default_rng(1).normal(size=(64, 3, 8, 8)).astype(np.float32)
    from sardonyx.runtime import open_session

    logits = open_session(ModelArtifact.of(small_network())).run({"image": images})["logits"]
    return CalibrationData.from_arrays({"image": images}, logits.argmax(1))


@pytest.fixture
def workplace(tmp_path: Path, model: ModelArtifact, data: CalibrationData) -> Path:
    """A folder with ``model.onnx``, ``data.npz`` and a recipe that prunes, quantizes and compares."""
    model.save(tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", image=data.source.read(data.indices)["image"], labels=data.labels)
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf8")
    return tmp_path


RECIPE = """
name = "small <script>alert(1)</script>"
model = "model.onnx"
[data]
calibration = "data.npz"
evaluation = "data.npz"
[[steps]]
kind = "prune"
params = 0.6
align = 4
[[steps]]
kind = "quantize"
[[steps]]
kind = "compare"
batches = [1, 4]
rounds = 5
"""
