"""Cleanup: equal outputs, fewer nodes, the same interface."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from sardonyx.core.errors import ModelError
from sardonyx.core.serialize import model_bytes
from sardonyx.passes import CleanupPass

RNG = np.random.default_rng(0)


def parse(text, weights=None, opset=17):
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text}')
    for name, array in (weights or {}).items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return ir.from_proto(model)


def run(model, feed):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return ort.InferenceSession(model_bytes(model), options).run(None, feed)


def clean(model, feed, rtol=1e-5):
    before = run(model, feed)
    cleanup = CleanupPass()
    cleanup(model)
    for a, b in zip(before, run(model, feed), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(a).max())
    return cleanup.report


def ops(model):
    return [node.op_type for node in model.graph]


def normal(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


def batch_norm(channels, dtype=np.float32):
    arrays = {k: normal(channels, dtype=dtype) for k in ("g", "b", "m")}
    return arrays | {"v": (1 + RNG.random(channels)).astype(dtype)}


LINEAR = {
    "Conv": ("Conv(x, w)", (6, 4, 3, 3)),
    "grouped": ("Conv <group = 2> (x, w)", (6, 2, 3, 3)),
    "transposed": ("ConvTranspose <group = 2> (x, w)", (4, 3, 3, 3)),
}


@pytest.mark.parametrize(("call", "shape"), LINEAR.values(), ids=LINEAR)
@pytest.mark.parametrize("opset", [9, 13, 21])
def test_batch_normalization_is_folded(call, shape, opset):
    weights = {"w": normal(*shape), **batch_norm(6)}
    text = (
        f"g (float[N,4,8,8] x) => (float[N,6,H,W] y) {{ c = {call} y = BatchNormalization(c, g, b, m, v) }}"
    )
    model = parse(text, weights, opset)
    report = clean(model, {"x": normal(2, 4, 8, 8)})
    assert len(model.graph) == 1
    assert report.details == {"nodes_removed": 1, "folded": 1}
    assert model.opset_imports[""] == opset


@pytest.mark.parametrize("attributes", ["", "<transB = 1>", "<alpha = 0.5, beta = 2.0>"])
def test_batch_normalization_is_folded_into_gemm(attributes):
    shape = (6, 4) if "transB" in attributes else (4, 6)
    weights = {"w": normal(*shape), "c": normal(6), **batch_norm(6)}
    text = f"g (float[N,4] x) => (float[N,6] y) {{ z = Gemm {attributes} (x, w, c) y = BatchNormalization(z, g, b, m, v) }}"
    model = parse(text, weights)
    clean(model, {"x": normal(3, 4)})
    assert ops(model) == ["Gemm"]


@pytest.mark.parametrize("op", ["Add(c, k)", "Mul(k, c)", "Sub(k, c)", "Sub(c, k)", "Div(c, k)"])
@pytest.mark.parametrize("shape", [(6, 1, 1), (1, 6, 1, 1), (), (1,)])
def test_channel_constants_are_folded(op, shape):
    weights = {"w": normal(6, 4, 3, 3), "k": np.asarray(normal(*shape), np.float32)}
    model = parse(f"g (float[N,4,8,8] x) => (float[N,6,6,6] y) {{ c = Conv(x, w) y = {op} }}", weights)
    clean(model, {"x": normal(2, 4, 8, 8)})
    assert ops(model) == ["Conv"]


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("c = Conv(x, w) r = Relu(c) y = BatchNormalization(r, g, b, m, v)", "comes from Relu"),
        ("c = Conv(x, w) n = BatchNormalization(c, g, b, m, v) y = Add(n, c)", "used elsewhere"),
        (
            "c = Conv(x, w) d = Conv <dilations = [1,1]> (x, w) n = BatchNormalization(c, g, b, m, v) y = Sub(n, d)",
            "shared",
        ),
    ],
)
def test_what_is_not_exact_stays_with_a_reason(body, left):
    weights = {"w": normal(6, 4, 3, 3), **batch_norm(6)}
    model = parse(f"g (float[N,4,8,8] x) => (float[N,6,6,6] y) {{ {body} }}", weights)
    report = clean(model, {"x": normal(2, 4, 8, 8)})
    assert "BatchNormalization" in ops(model)
    assert left in report.skipped[0].text


def test_constant_per_position_stays():
    weights = {"w": normal(6, 4, 3, 3), "k": normal(1, 6, 6, 6)}
    model = parse("g (float[N,4,8,8] x) => (float[N,6,6,6] y) { c = Conv(x, w) y = Add(c, k) }", weights)
    clean(model, {"x": normal(2, 4, 8, 8)})
    assert ops(model) == ["Conv", "Add"]


def test_half_precision_is_folded_in_double():
    weights = {"w": normal(6, 4, 3, 3, dtype=np.float16), **batch_norm(6, np.float16)}
    text = "g (float16[N,4,8,8] x) => (float16[N,6,6,6] y) { c = Conv(x, w) y = BatchNormalization(c, g, b, m, v) }"
    model = parse(text, weights)
    clean(model, {"x": normal(2, 4, 8, 8, dtype=np.float16)}, rtol=5e-3)
    assert model.graph.outputs[0].dtype == ir.DataType.FLOAT16


def test_constant_nodes_become_initializers():
    text = """g (float[N,2] x) => (float[N,2] y) {
        w = Constant <value = float[2,2] {1, 2, 3, 4}> ()
        z = MatMul(x, w)  i = Identity(z)  y = Relu(i)
    }"""
    model = parse(text)
    clean(model, {"x": normal(3, 2)})
    assert ops(model) == ["MatMul", "Relu"]
    assert list(model.graph.initializers) == ["w"]


def test_shape_arithmetic_is_folded_and_names_stay():
    text = """g (float[N,4,6] x) => (float[N,24] flat, float[N,24] same) {
        s = Shape(x)  i = Constant <value = int64[1] {0}> ()  n = Gather(s, i)
        m = Constant <value = int64[1] {-1}> ()  t = Concat <axis = 0> (n, m)
        flat = Reshape(x, t)  same = Reshape(x, t)
    }"""
    model = parse(text)
    clean(model, {"x": normal(3, 4, 6)})
    assert [v.name for v in model.graph.outputs] == ["flat", "same"]
    assert [str(d) for d in model.graph.inputs[0].shape] == ["N", "4", "6"]
    assert set(ops(model)) <= {"Reshape", "Identity"}


def test_functions_are_inlined():
    text = """<ir_version: 8, opset_import: ["" : 17, "local" : 1]>
    g (float[N,2] x) => (float[N,2] y) { y = local.twice(x) }
    <domain: "local", opset_import: ["" : 17]>
    twice (a) => (b) { b = Add(a, a) }"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    clean(model, {"x": normal(3, 2)})
    assert ops(model) == ["Add"]
    assert not model.functions


@pytest.mark.parametrize("size", [10**6, 10**12])
def test_expanding_constants_are_not_folded(size):
    text = f"""g (float[N] x) => (float[N] y) {{
        s = Constant <value = int64[1] {{{size}}}> ()  o = ConstantOfShape(s)
        r = ReduceSum <keepdims = 0> (o)  y = Add(x, r)
    }}"""
    model = parse(text)
    CleanupPass()(model)
    assert "ConstantOfShape" in ops(model)
    assert len(model_bytes(model)) < 2000


def test_equal_biases_stay_apart():
    weights = {
        "w1": normal(2, 2),
        "w2": normal(2, 2),
        "b1": np.zeros(2, np.float32),
        "b2": np.zeros(2, np.float32),
    }
    model = parse("g (float[N,2] x) => (float[N,2] y) { h = Gemm(x, w1, b1) y = Gemm(h, w2, b2) }", weights)
    clean(model, {"x": normal(3, 2)})
    assert set(model.graph.initializers) == set(weights)


SEQUENCES = {
    "joined": "s = SequenceConstruct(x, x) j = ConcatFromSequence <axis = -1, new_axis = 1> (s) y = Flatten <axis = 2> (j)",
    "split": "two = Constant <value_int = 2> () s = SplitToSequence <axis = 1> (x, two) "
    "one = Constant <value_int = 1> () z = SequenceAt(s, one) y = Flatten <axis = 2> (z)",
}


@pytest.mark.parametrize("body", SEQUENCES.values(), ids=SEQUENCES)
@pytest.mark.parametrize("opset", [12, 13, 18])
def test_sequences_are_folded_only_into_what_the_opset_has(body, opset):
    clean(parse(f"g (float[2,4,3] x) => (float[A,B] y) {{ {body} }}", opset=opset), {"x": normal(2, 4, 3)})


def test_a_first_dimension_that_cannot_be_one_is_no_contradiction():
    text = "g (float[N,4] x) => (float[N,4] y) { a, b = Split(x, two) y = Concat <axis = 0> (b, a) }"
    clean(parse(text, {"two": np.array([2, 2])}, opset=13), {"x": normal(4, 4)})


def test_stale_shapes_are_refused():
    model = parse("g (float[2,3] x) => (float[2,4] y) { y = Relu(x) }")
    with pytest.raises(ModelError, match="shape"):
        CleanupPass()(model)


def test_variance_below_zero_stays():
    weights = {"w": normal(6, 4, 3, 3), **batch_norm(6), "v": -np.ones(6, np.float32)}
    text = (
        "g (float[N,4,8,8] x) => (float[N,6,6,6] y) { c = Conv(x, w) y = BatchNormalization(c, g, b, m, v) }"
    )
    model = parse(text, weights)
    cleanup = CleanupPass()
    cleanup(model)
    assert cleanup.report.skipped[0].text == "the folded weights would not be finite"
