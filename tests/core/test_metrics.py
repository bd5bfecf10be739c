from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from sardonyx.core import ModelError, count_macs, measure_graph, node_macs

WEIGHTS = {
    "Conv": (
        "float[N,6,10,12] x",
        "y = Conv <group = 2, strides = [2,2]> (x, w, b)",
        {"w": (8, 3, 3, 3), "b": (8,)},
    ),
    "depthwise": ("float[N,6,10,12] x", "y = Conv <group = 6> (x, w)", {"w": (6, 1, 3, 3)}),
    "ConvTranspose": ("float[N,6,5,5] x", "y = ConvTranspose <strides = [2,2]> (x, w)", {"w": (6, 4, 2, 2)}),
    "MatMul": ("float[N,7,5] x", "y = MatMul(x, w)", {"w": (5, 3)}),
    "batched MatMul": ("float[N,2,7,5] x", "t = Transpose <perm = [0,1,3,2]> (x)  y = MatMul(x, t)", {}),
    "Gemm": ("float[N,5] x", "y = Gemm <transB = 1> (x, w, b)", {"w": (3, 5), "b": (3,)}),
    "transposed Gemm": ("float[5,4] x", "y = Gemm <transA = 1> (x, w)", {"w": (5, 3)}),
    "LSTM": ("float[9,2,5] x", "y = LSTM <hidden_size = 4> (x, w, r)", {"w": (1, 16, 5), "r": (1, 16, 4)}),
    "two": ("float[N,5] x", "a = MatMul(x, w)  y = MatMul(a, v)", {"w": (5, 3), "v": (3, 2)}),
}
MACS = {
    "Conv": 8 * 4 * 5 * 3 * 9,
    "depthwise": 6 * 8 * 10 * 9,
    "ConvTranspose": 6 * 25 * 4 * 4,
    "MatMul": 7 * 5 * 3,
    "batched MatMul": 2 * 7 * 5 * 7,
    "Gemm": 5 * 3,
    "transposed Gemm": 4 * 5 * 3,
    "LSTM": 9 * 2 * (16 * 5 + 16 * 4),
    "two": 5 * 3 + 3 * 2,
}


@pytest.fixture
def build(model):
    def build_graph(inputs, body, weights, kind=np.float32):
        made = model(f"g ({inputs}) => (float y) {{ {body} }}", '<ir_version: 10, opset_import: ["" : 21]>')
        made.graph.output[0].type.tensor_type.ClearField("shape")
        for name, shape in weights.items():
            made.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(shape, kind), name))
        return ir.from_proto(made)

    return build_graph


@pytest.mark.parametrize("case", WEIGHTS)
def test_macs_of_one_sample(build, case):
    assert count_macs(build(*WEIGHTS[case])) == MACS[case]


@pytest.mark.parametrize("case", WEIGHTS)
def test_parameters_bytes_and_nodes(build, case):
    graph = build(*WEIGHTS[case])
    metrics = measure_graph(graph)
    assert metrics.params == sum(int(np.prod(shape)) for shape in WEIGHTS[case][2].values())
    assert metrics.size_bytes == 4 * metrics.params
    assert metrics.nodes == len(list(graph.graph))


def test_macs_grow_with_the_batch(build):
    graph = build(*WEIGHTS["Conv"])
    assert count_macs(graph, {"x": (3, 6, 10, 12)}) == 3 * MACS["Conv"]


def test_macs_are_unknown_where_a_shape_is(build):
    graph = build("float[N,6,H,12] x", *WEIGHTS["Conv"][1:])
    assert count_macs(graph) is None
    assert node_macs(graph) == {graph.graph.node(0): None}
    assert count_macs(graph, {"x": (1, 6, 10, 12)}) == MACS["Conv"]


def test_macs_refuse_shapes_that_do_not_fit(build):
    with pytest.raises(ModelError, match="shape inference failed"):
        count_macs(build(*WEIGHTS["Conv"]), {"x": (1, 6, 10)})


def test_shape_constants_are_no_parameters(build, model):
    graph = build("float[N,6] x", "y = Reshape(x, s)", {"s": (2,)}, np.int64)
    assert (measure_graph(graph).params, measure_graph(graph).size_bytes) == (0, 16)


def test_weights_in_constant_nodes_count(model):
    text = "g (float[3] x) => (float[3] y) { c = Constant <value = float[3] {1, 2, 3}> ()  y = Add(x, c) }"
    assert measure_graph(ir.from_proto(model(text))).params == 3


def test_quantized_weights_count_by_element(build):
    graph = build("float[N,4] x", "y = DequantizeLinear(w, s)", {"s": ()})
    packed = ir.tensor(np.arange(6), dtype=ir.DataType.INT64).numpy().astype(ir.DataType.INT4.numpy())
    graph.graph.register_initializer(
        ir.Value(name="w", const_value=ir.tensor(packed, dtype=ir.DataType.INT4, name="w"))
    )
    metrics = measure_graph(graph)
    assert (metrics.params, metrics.size_bytes) == (7, 3 + 4)


def test_subgraphs_count(model):
    text = """g (bool c, float[2] x) => (float[2] y) {
        y = If(c) <then_branch = t () => (float[2] a) <float[2] w = {1, 2}> { a = Add(x, w) },
                   else_branch = e () => (float[2] b) { b = Abs(x) }>
    }"""
    metrics = measure_graph(ir.from_proto(model(text)))
    assert (metrics.params, metrics.nodes) == (2, 3)
