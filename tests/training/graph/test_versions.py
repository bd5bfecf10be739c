"""The same graph in every version of the operators, and operators of the runtime's own: as ONNX Runtime computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from nets import Net
from sardonyx.calib_data import OrtRunner
from sardonyx.core.errors import ModelError
from sardonyx.passes.quantization import WeightOnlyOptions, quantize_weights
from sardonyx.training.graph import TrainableGraph


def agree(model: ir.Model, *arrays: np.ndarray, atol: float = 1e-5) -> None:
    """Compare all outputs with those of ONNX Runtime."""
    names = [v.name for v in model.graph.outputs]
    feed = {v.name: a for v, a in zip(model.graph.inputs, arrays, strict=True)}
    (expected,) = OrtRunner(threads=1).run(model, [feed], names)
    got = TrainableGraph(model)(*(torch.from_numpy(a) for a in arrays))
    got = got if isinstance(got, tuple) else (got,)
    for name, output in zip(names, got, strict=True):
        np.testing.assert_allclose(output.detach().numpy(), expected[name], rtol=1e-4, atol=atol)


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal(shape).astype("f4")


@pytest.mark.parametrize("opset", [8, 9, 10, 11, 12, 13, 15, 17, 18, 20, 21, 22])
def test_versions_differ_in_what_they_say_not_in_what_they_mean(opset: int) -> None:
    n = Net(opset=opset)
    x = n.conv(n.x, 8)
    x = n.op("BatchNormalization", x, *(n.floats(np.full(8, v)) for v in (1.1, 0.2, 0.1, 1.5)))
    x = n.op("MaxPool", n.clip(x, -0.5, 0.9), kernel_shape=[2, 2], strides=[2, 2])
    a, b = n.split(x, 3, 5)
    x = n.op("Concat", b, n.slice(a, 1, 3), axis=1)
    x = n.op("Dropout", n.pad(x, 0, 0, 1, 0, 0, 0, 1, 0))
    x = n.op("Softmax", n.mean(x, 2, keepdims=1), axis=1)
    y = n.op("Flatten", n.squeeze(n.unsqueeze(x, 0), 0))
    agree(n.model(n.op("Gemm", y, n.rand(3, 28), n.rand(3), transB=1)), draw(2, 3, 8, 8))


def upsampled(opset: int, mode: str) -> ir.Model:
    n = Net(("N", 3, 4, 5), opset=opset)
    scales = n.const(np.array([1, 1, 2, 2], "f4"))
    if opset < 10:
        return n.model(n.op("Upsample", n.x, scales, mode=mode))
    roi = [] if opset < 11 else [n.floats(np.zeros(0))]
    return n.model(n.op("Resize", n.x, *roi, scales, mode=mode))


@pytest.mark.parametrize("opset", [9, 10, 11, 13, 19])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_images_grow_alike_in_every_version(opset: int, mode: str) -> None:
    agree(upsampled(opset, mode), draw(1, 3, 4, 5))


def foreign(
    kind: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any], outputs: int = 1
) -> ir.Model:
    """One node of com.microsoft; its first input is the graph's."""
    x = ir.val("x", ir.DataType.FLOAT, list(shapes[0]))
    weights = []
    for i, shape in enumerate(shapes[1:]):
        values = np.random.default_rng(i).standard_normal(shape).astype("f4")
        weights.append(ir.val(f"w{i}", const_value=ir.tensor(values, name=f"w{i}")))
    domain = "" if kind.startswith("Simplified") else "com.microsoft"
    node = ir.node(kind, [x, *weights], attributes, domain=domain, num_outputs=outputs, name="node")
    for i, value in enumerate(node.outputs):
        value.name, value.dtype = (f"y{i}" if i in (0, outputs - 1) else ""), ir.DataType.FLOAT
    named = [v for v in node.outputs if v.name]
    opsets = {"": 17, "com.microsoft": 1}
    graph = ir.Graph([x], named, nodes=[node], initializers=weights, opset_imports=opsets, name="g")
    return ir.Model(graph, ir_version=9)


QKV = [(2, 5, 8)] * 3
FOREIGN: dict[str, tuple[str, list[tuple[int, ...]], dict[str, Any], int]] = {
    "matmul": ("FusedMatMul", [(2, 4, 3), (2, 5, 4)], {"transA": 1, "transB": 1, "alpha": 0.5}, 1),
    "gelu": ("Gelu", [(2, 3)], {}, 1),
    "bias_gelu": ("BiasGelu", [(2, 3), (3,)], {}, 1),
    "fast_gelu": ("FastGelu", [(2, 3), (3,)], {}, 1),
    "quick_gelu": ("QuickGelu", [(2, 3)], {"alpha": 1.702}, 1),
    "rms": ("SimplifiedLayerNormalization", [(2, 3, 4), (4,)], {"epsilon": 1e-3}, 1),
    "skip": ("SkipLayerNormalization", [(2, 3, 4), (2, 3, 4), (4,), (4,), (4,)], {"epsilon": 1e-3}, 4),
    "skip_rms": ("SkipSimplifiedLayerNormalization", [(2, 3, 4), (2, 3, 4), (4,)], {"epsilon": 1e-3}, 4),
    "heads": ("MultiHeadAttention", [*QKV, (24,)], {"num_heads": 2}, 1),
    "heads_scaled": ("MultiHeadAttention", QKV, {"num_heads": 4, "scale": 0.3}, 1),
    "packed": ("Attention", [(2, 5, 8), (8, 24), (24,)], {"num_heads": 2}, 1),
    "causal": ("Attention", [(2, 5, 8), (8, 24), (24,)], {"num_heads": 2, "unidirectional": 1}, 1),
}


@pytest.mark.parametrize("case", FOREIGN.values(), ids=list(FOREIGN))
def test_operators_of_the_runtime(case: tuple[Any, Any, Any, Any]) -> None:
    kind, shapes, attributes, outputs = case
    model = foreign(kind, shapes, attributes, outputs)
    agree(model, draw(*shapes[0]), atol=2e-3 if kind == "FastGelu" else 1e-5)


@pytest.mark.parametrize("kind", ["QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearLeakyRelu"])
def test_quantized_operators_of_the_runtime(kind: str) -> None:
    x = ir.val("x", ir.DataType.UINT8, [2, 3])
    made = {"s": np.float32(0.1), "z": np.uint8(7), "b": np.arange(3, dtype=np.uint8) * 60}
    s, z, b = (ir.val(k, const_value=ir.tensor(np.asarray(v), name=k)) for k, v in made.items())
    pair = [x, s, z, b, s, z, s, z] if kind in {"QLinearAdd", "QLinearMul"} else [x, s, z, s, z]
    node = ir.node(kind, pair, domain="com.microsoft", name="node")
    node.outputs[0].name, node.outputs[0].dtype = "y", ir.DataType.UINT8
    weights = [s, z, b] if len(pair) == 8 else [s, z]
    opsets = {"": 17, "com.microsoft": 1}
    graph = ir.Graph([x], node.outputs, nodes=[node], initializers=weights, opset_imports=opsets, name="g")
    agree(ir.Model(graph, ir_version=9), np.array([[0, 9, 200], [1, 70, 255]], np.uint8), atol=1)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [False, True])
def test_weights_in_blocks(bits: int, symmetric: bool) -> None:
    n = Net(("N", 3))
    n.x.dtype = ir.DataType.INT64
    product = n.op("MatMul", n.op("Gather", n.rand(20, 80), n.x), n.rand(80, 5))
    options = WeightOnlyOptions(bits=bits, block_size=32, symmetric=symmetric, embeddings=True)
    model = quantize_weights(n.model(product), options).model
    kinds = {node.op_type for node in model.graph}
    assert kinds == {"GatherBlockQuantized", "MatMulNBits"}
    agree(model, np.array([[0, 19, 7], [3, 3, 1]]))
    assert {p.shape for p in TrainableGraph(model, is_trained=lambda weight: True).parameters()} == {
        (20, 3),
        (5, 3),
    }


@pytest.mark.parametrize(
    ("kind", "shapes", "attributes", "reason"),
    [
        ("FusedMatMul", [(2, 3), (3, 2)], {"transBatchA": 1}, "transposed batches"),
        ("MultiHeadAttention", [(2, 5, 3)], {"num_heads": 1}, "packed inputs"),
        ("Attention", [(2, 5, 8), (8, 24), (24,), (2, 5)], {"num_heads": 2}, "masks"),
        ("EmbedLayerNormalization", [(2, 3)], {}, "no function in torch"),
    ],
)
def test_what_the_runtime_knows_and_torch_does_not_is_refused(
    kind: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ModelError, match=rf"com\.microsoft\.{kind}.*{reason}"):
        TrainableGraph(foreign(kind, shapes, attributes))
