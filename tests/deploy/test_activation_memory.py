from __future__ import annotations

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest
from nets import Net
from sardonyx.core import ExpectationError, ModelArtifact, UsageError
from sardonyx.deploy.activation_memory import LiveValue, peak_activation, peak_activation_bytes

HEAD = '<ir_version: 10, opset_import: ["" : 21, "l" : 1]>\n'


def parse(text: str) -> ModelArtifact:
    return ModelArtifact.of(ir.from_proto(onnx.parser.parse_model(HEAD + text)))


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("y = Relu(x)", 2),  # what is fed and what comes out
        ("a = Relu(x) b = Relu(a) y = Relu(b)", 3),  # x stays with the caller; a and b, then b and y
        ("a = Relu(x) b = Relu(x) c = Add(a, b) y = Add(c, x)", 4),
        (
            "a = Relu(x) b = Concat<axis = 0>(a, a) y = ReduceMax<keepdims = 1>(b, zero)",
            4,
        ),  # x, a and the wide b
        ("w = Constant <value = float[2] {1, 2}> () y = Relu(x)", 2),  # constants are weights
    ],
)
def test_chains_are_counted_by_hand(nodes, expected):
    dims = "1" if "ReduceMax" in nodes else "N"
    text = f"g (float[N,8] x) => (float[{dims},8] y) <int64[1] zero = {{0}}> {{ {nodes} }}"
    assert peak_activation_bytes(parse(text), {"x": (1, 8)}) == expected * 32


def test_the_node_and_what_lives_there():
    proto = onnx.parser.parse_model(
        HEAD + "g (float[N,4] x) => (float[N,2] y) { h = MatMul(x, w) r = Relu(h) y = MatMul(r, v) }"
    )
    for name, shape in (("w", (4, 100)), ("v", (100, 2))):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(shape, np.float32), name))
    peak = peak_activation(ModelArtifact.of(ir.from_proto(proto)), {"x": (3, 4)})
    assert peak.peak_bytes == 4 * 3 * (4 + 100 + 100)
    assert peak.node == "r"
    assert peak.values == (LiveValue("h", 1200), LiveValue("r", 1200), LiveValue("x", 48))


@pytest.mark.parametrize(
    ("kind", "size"), [("float16", 2), ("int8", 1), ("double", 8), ("bool", 1), ("int4", 0.5)]
)
def test_elements_have_their_size(kind, size):
    text = f"g ({kind}[N] x) => ({kind}[N] y) {{ y = Identity(x) }}"
    assert peak_activation_bytes(parse(text), {"x": (100,)}) == 200 * size


def test_it_grows_with_the_input():
    net = Net(("N", 3, "H", "W"))
    model = ModelArtifact.of(net.model(net.head(net.relu(net.conv(net.x, 6)))))
    found = [
        peak_activation_bytes(model, {"x": shape}) for shape in ((1, 3, 8, 8), (2, 3, 8, 8), (1, 3, 16, 16))
    ]
    assert found == [4 * 64 * 15, 8 * 64 * 15, 4 * 256 * 15]


def test_of_two_branches_one_runs():
    text = """g (float[N] x, bool c) => (float[N] y) { y = If (c) <
        then_branch = t () => (float[N] a) { a = Relu(x) },
        else_branch = e () => (float[N] d) { b = Relu(x) d = Add(b, b) }> }"""
    peak = peak_activation(parse(text), {"x": (10,)})
    assert (peak.peak_bytes, peak.inner_bytes) == (40 + 1 + 40 + 80, 80)


def test_what_a_loop_carries_counts():
    text = """g (float[N] x, int64 trips, bool go) => (float[N] y) { y = Loop (trips, go, x) <
        body = b (int64 i, bool c, float[N] s) => (bool k, float[N] z) { k = Identity(c) z = Add(s, x) }> }"""
    peak = peak_activation(parse(text), {"x": (10,)})
    assert peak.inner_bytes == (8 + 1 + 40) + (1 + 40)
    assert peak.peak_bytes == (40 + 8 + 1) + 40 + peak.inner_bytes


def test_functions_count_as_what_they_hold():
    body = '<domain: "l", opset_import: ["" : 21]> f (x) => (y) { a = Relu(x) b = Concat<axis = 0>(a, a, a) y = Neg(b) }'
    text = "g (float[N] x) => (float[M] y) { y = l.f(x) }\n" + body
    assert peak_activation_bytes(parse(text), {"x": (10,)}) == 40 + 120 + 120


@pytest.mark.parametrize(
    ("text", "shapes", "name"),
    [
        ("g (float[N] x) => (float[N] y) { y = Relu(x) }", {}, "x"),
        ("g (float[N] x) => (int64[1,M] y) { y = NonZero(x) }", {"x": (5,)}, "y"),
        ("g (string[N] x) => (string[N] y) { y = Identity(x) }", {"x": (5,)}, "x"),
    ],
)
def test_a_size_that_cannot_be_told_is_refused(text, shapes, name):
    with pytest.raises(ExpectationError, match=f"value '{name}' cannot be told"):
        peak_activation(parse(text), shapes)


def test_a_shape_that_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="2 dimensions, and 1 are given"):
        peak_activation(parse("g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }"), {"x": (5,)})
