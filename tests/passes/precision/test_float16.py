"""float16 where it holds the numbers, float32 with a reason where it does not."""

import collections

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx.core.errors import InputError, ModelError, UsageError
from sardonyx.passes.precision import emulate_float16, to_float16

PERCEPTRON = (
    "g (float[N,8] x) => (float[N,4] y) { h = MatMul(x, w)  a = Add(h, b)  r = Relu(a)  y = MatMul(r, v) }"
)


def types(model):
    return collections.Counter(v.dtype.name for n in model.graph for v in n.outputs)


@pytest.fixture
def perceptron(network, normal):
    """Two layers."""
    return network(PERCEPTRON, {"w": normal(8, 16), "b": normal(16, seed=1), "v": normal(16, 4, seed=2)})


@pytest.mark.parametrize("keep_io_types", [True, False])
def test_all_of_it_is_float16(perceptron, normal, run, keep_io_types):
    result = to_float16(perceptron, keep_io_types=keep_io_types)
    x = normal(5, 8, scale=1.0)
    found = run(result.model, x=x if keep_io_types else x.astype("f2"))
    assert found.dtype == (np.float32 if keep_io_types else np.float16)
    np.testing.assert_allclose(found, run(perceptron, x=x), atol=3e-3)
    assert result.report.details["float16_nodes"] == 4
    assert result.report.details["casts"] == (2 if keep_io_types else 0)
    assert result.report.after.size_bytes == result.report.before.size_bytes / 2


def test_an_excluded_node_stays(perceptron, normal, run):
    result = to_float16(perceptron, exclude=("MatMul_0", "Add*"))
    assert {(s.node, s.code) for s in result.report.skipped} == {
        ("MatMul_0", "excluded"),
        ("Add_1", "excluded"),
    }
    assert types(result.model) == {"FLOAT": 3, "FLOAT16": 3}  # no Cast between the two
    x = normal(5, 8, scale=1.0)
    np.testing.assert_allclose(run(result.model, x=x), run(perceptron, x=x), atol=3e-3)


@pytest.mark.parametrize(
    ("constant", "code", "match"),
    [
        (np.float32(1e5), "range", "ends at 65504"),
        (np.float32(-3.4e38), "range", "ends at 65504"),
        (np.float32(1e-12), "range", "would lose"),
    ],
)
def test_constants_out_of_range_keep_their_node(network, normal, run, constant, code, match):
    text = "g (float[N,8] x) => (float[N,8] y) { h = Tanh(x)  k = Mul(h, c)  d = Div(k, c)  y = Relu(d) }"
    model = network(text, {"c": constant})
    result = to_float16(model)
    assert {(s.node, s.code) for s in result.report.skipped} == {("Mul_1", code), ("Div_2", code)}
    assert all(match in s.text for s in result.report.skipped)
    x = normal(3, 8, scale=1.0)
    np.testing.assert_allclose(run(emulate_float16(result.model), x=x), run(model, x=x), atol=2e-3)


def test_infinities_are_numbers_too(network, normal, run):
    text = "g (float[N,4] x) => (float[N,4] y) { h = Add(x, m)  y = Softmax(h) }"
    model = network(text, {"m": np.array([0, -np.inf, 0, 0], "f4")})
    assert not to_float16(model).report.skipped
    assert not run(to_float16(model).model, x=normal(2, 4))[:, 1].any()


@pytest.mark.parametrize(
    ("body", "float32"),
    [
        ("y = Resize <mode = 'nearest'> (x, , s)", {"s"}),
        ("i = Shape(x)  c = Cast <to = 1> (i)  k = ReduceMax <keepdims = 0> (c)  y = Mul(x, k)", {"c"}),
        ("y, m = LayerNormalization <axis = -1> (x, g)", {"m"}),
    ],
)
def test_what_must_be_float32_is(network, normal, run, body, float32):
    body = body.replace("'", '"')
    model = network(
        f"g (float[1,1,2,4] x) => (float[1,1,A,B] y) {{ {body} }}",
        {"s": np.array([1, 1, 2, 2], "f4"), "g": np.ones(4, "f4")},
    )
    result = to_float16(model).model
    kinds = {
        v.name: v.dtype for n in result.graph for v in (*n.inputs, *n.outputs) if v is not None and v.name
    }
    assert {kinds[name] for name in float32} == {ir.DataType.FLOAT}
    x = normal(1, 1, 2, 4, scale=1.0)
    np.testing.assert_allclose(run(result, x=x), run(model, x=x), atol=5e-3)


LOOP = """g (float[N,4] x) => (float[N,4] y) {
    n = Constant <value = int64 {3}> ()  t = Constant <value = bool {1}> ()
    y = Loop (n, t, x) <body = b (int64 i, bool c, float[N,4] s) => (bool d, float[N,4] u) {
        d = Identity(c)  m = MatMul(s, w)  e = Mul(m, k)  u = Tanh(e) }>
}"""


@pytest.mark.parametrize("factor", [0.5, 1e6])
def test_inner_graphs_change_too(network, normal, run, factor):
    model = network(LOOP, {"w": normal(4, 4), "k": np.float32(factor)})
    result = to_float16(model)
    x = normal(2, 4, scale=1e-3)
    np.testing.assert_allclose(run(result.model, x=x), run(model, x=x), atol=5e-3)
    assert [s.code for s in result.report.skipped] == (["range"] if factor > 1 else [])


def test_the_emulation_overflows_as_hardware_does(network, run):
    text = "g (float[N] x) => (float[N] y) { h = Mul(x, a)  y = Mul(h, b) }"
    model = to_float16(network(text, {"a": np.float32(1000), "b": np.float32(0.001)})).model
    found = run(emulate_float16(model), x=np.array([1.0, 1000.0], np.float32))
    assert np.isinf(found[1])
    assert found[0] == np.float16(1000) * np.float16(0.001)


def test_an_unknown_operator_stays_and_says_so(network, normal):
    model = network("g (float[N,4] x) => (float[N,4] y) { h = Tanh(x)  y = com.microsoft.Gelu(h) }")
    result = to_float16(model)
    assert [(s.code, s.node) for s in result.report.skipped] == [("no-schema", "Gelu_1")]
    assert [n.op_type for n in result.model.graph] == ["Cast", "Tanh", "Cast", "Gelu"]


@pytest.mark.parametrize(
    ("text", "exclude", "error", "match"),
    [
        ("g (float[N] x) => (float[N] y) { y = Relu(x) }", ("nothing",), UsageError, "no node matches"),
        ("g (float[N] x) => (float[N] y) { y = Relu(x) }", ("Relu_0",), InputError, "no node can"),
        ("g (int64[N] x) => (int64[N] y) { y = Add(x, x) }", (), InputError, "no node can"),
        (LOOP, ("Loop*",), UsageError, "only holds graphs"),
        ("g (float[N] x) => (float[N] y) { h = own.Twist(x)  y = Relu(h) }", (), ModelError, "type of 'h'"),
    ],
)
def test_refusals(network, normal, text, exclude, error, match):
    with pytest.raises(error, match=match):
        to_float16(network(text, {"w": normal(4, 4), "k": np.float32(1)}), exclude=exclude)
