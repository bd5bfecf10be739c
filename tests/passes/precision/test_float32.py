"""Half and double precision become float32 inside, and keep their types at the border."""

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import ModelError
from sardonyx.core.targets import get_target
from sardonyx.passes.precision import is_narrow, to_float32
from sardonyx.passes.quantization import quantize

LAYERS = """g ({t}[N,6,8] x) => ({t}[N,4] y) {{
    a = MatMul(x, w)  k = Add(a, b)  r = Relu(k)
    f = ReduceMean <keepdims = 0> (r, axes)  h = Gemm <transB = 1> (f, v, c)  y = Softmax(h)
}}"""
KINDS = {"float16": np.float16, "double": np.float64}
HALF = {ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE}


def inner_types(model):
    nodes = ir.traversal.RecursiveGraphIterator(model.graph)
    outer = {v.name for v in (*model.graph.inputs, *model.graph.outputs)}
    return {v.dtype for n in nodes for v in (*n.inputs, *n.outputs) if v is not None and v.name not in outer}


@pytest.fixture
def layers(network, normal):
    """A small classifier in a float type."""

    def make(kind):
        shapes = {"w": (8, 16), "b": (16,), "v": (4, 16), "c": (4,)}
        arrays = {n: normal(*s, seed=i).astype(KINDS[kind]) for i, (n, s) in enumerate(shapes.items())}
        return network(LAYERS.format(t=kind), {**arrays, "axes": np.array([1])})

    return make


@pytest.mark.parametrize(("kind", "tolerance"), [("float16", 2e-3), ("double", 1e-6)])
def test_the_border_keeps_its_types(layers, normal, run, kind, tolerance):
    model = layers(kind)
    result = to_float32(model)
    x = normal(3, 6, 8, seed=7, scale=1.0).astype(KINDS[kind])
    before, after = run(model, x=x), run(result, x=x)
    assert after.dtype == before.dtype == KINDS[kind]
    assert np.abs(before.astype(float) - after).max() <= tolerance
    assert not inner_types(result) & HALF
    assert [v.name for v in (*result.graph.inputs, *result.graph.outputs)] == ["x", "y"]


def test_a_float32_model_is_left_as_it_is(network, normal):
    model = network("g (float[N,4] x) => (float[N,4] y) { y = MatMul(x, w) }", {"w": normal(4, 4)})
    assert not is_narrow(model)
    assert len(to_float32(model).graph) == 1


@pytest.mark.parametrize(
    "body",
    [
        "h = Cast <to = 10> (x)  k = Mul(h, w)  y = Cast <to = 1> (k)",
        "h = CastLike(x, w)  k = Mul(h, w)  y = Cast <to = 1> (k)",
        "s = Shape(x)  z = ConstantOfShape <value = double[1] {2.0}> (s)  k = Mul(z, v)  y = Cast <to = 1> (k)",
        "h = Cast <to = 10> (x)  k = Clip(h, w)  y = Cast <to = 1> (k)",
        "k = Constant <value = double {0.5}> ()  f = Cast <to = 1> (k)  y = Mul(x, f)",
        "r = EyeLike <dtype = 11> (x)  k = Mul(r, v)  y = Cast <to = 1> (k)",
        "h = Cast <to = 10> (x) q = SequenceConstruct(h, h) k = SequenceAt(q, i)  y = Cast <to = 1> (k)",
    ],
)
def test_types_that_nodes_state_follow(network, normal, run, body):
    model = network(
        f"g (float[N,4] x) => (float[M,4] y) {{ {body} }}",
        {"w": np.float16(0.25), "v": np.float64(0.25), "i": np.int64(0)},
    )
    result = to_float32(model)
    x = normal(4, 4, scale=1.0)
    np.testing.assert_allclose(run(result, x=x), run(model, x=x), atol=2e-3)
    assert not inner_types(result) & HALF


LOOP = """g (float16[N,4] x) => (float16[N,4] y) {
    n = Constant <value = int64 {3}> ()  t = Constant <value = bool {1}> ()
    y = Loop (n, t, x) <body = b (int64 i, bool c, float16[N,4] s) => (bool d, float16[N,4] u) {
        d = Identity(c)  m = MatMul(s, w)  u = Tanh(m) }>
}"""
BRANCH = """g (float16[N,4] x, bool p) => (float16[N,4] y) {
    h = MatMul(x, w)
    y = If (p) <then_branch = a () => (float16[N,4] u) { u = Relu(h) },
                else_branch = b () => (float16[N,4] v) { v = Mul(h, x) }>
}"""


@pytest.mark.parametrize("text", [LOOP, BRANCH])
def test_graphs_inside_change_too(network, normal, run, text):
    model = network(text, {"w": normal(4, 4, dtype=np.float16)})
    result = to_float32(model)
    feed = {"x": normal(2, 4, scale=1.0, dtype=np.float16)} | ({"p": np.array(False)} if "If" in text else {})
    assert np.abs(run(result, **feed) - run(model, **feed)).max() < 2e-3
    assert not inner_types(result) & HALF


def test_bfloat16_weights_are_exact(network, normal):
    text = "g (float[N,4] x) => (float[N,4] y) { h = Cast <to = 1> (w)  y = MatMul(x, h) }"
    model = network(text, {"w": normal(4, 4).astype(ir.DataType.BFLOAT16.numpy())})
    weight = to_float32(model).graph.initializers
    held = next(v for v in weight.values() if v.const_value.shape == (4, 4)).const_value.numpy()
    np.testing.assert_array_equal(held, model.graph.initializers["w"].const_value.numpy().astype("f4"))


def test_static_quantization_takes_it(layers, normal):
    data = CalibrationData.from_arrays({"x": normal(8, 6, 8, scale=1.0, dtype=np.float16)})
    result = quantize(to_float32(layers("float16")), data, target=get_target("cpu-x86"))
    assert any(change.node == "MatMul_0" for change in result.report.applied)


@pytest.mark.parametrize(
    ("text", "weights", "match"),
    [
        (
            "g (float16[4] x) => (int16[4] y) { y = BitCast <to = 5> (x) }",
            {},
            "BitCast 'BitCast_0'.*reads the bits",
        ),
        ("g (float16[4] x) => (float16[4] y) { y = own.Twist (x) }", {}, "'Twist_0'.*no schema"),
        ("g (double[4] x) => (double[4] y) { y = Mul(x, w) }", {"w": np.float64(1e300)}, "'w' holds numbers"),
        (
            "g (float16[4] x) => (float16[4] y) { h = own.Twist(x) y = Relu(h) }",
            {},
            "type of 'h' is not known",
        ),
    ],
)
def test_what_cannot_be_done_is_named(network, text, weights, match):
    with pytest.raises(ModelError, match=match):
        to_float32(network(text, weights, opset=26 if "BitCast" in text else 18))
