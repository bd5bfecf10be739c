"""Versions, declared shapes, domains, scales, sparse tensors and growth, through the door."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from sardonyx.core import EnvironmentFault, LimitError, Limits, ModelArtifact, ModelError

RELU = "g (float[4] x) => (float[4] y) { y = Relu(x) }"


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ('<ir_version: 9, opset_import: ["" : 999]>', "opset 999 is not supported, the range is 1 to"),
        ('<ir_version: 9, opset_import: ["" : 0]>', "opset 0"),
        ('<ir_version: 999, opset_import: ["" : 18]>', "ir_version 999 is not supported, the range is 3 to"),
        ('<ir_version: 2, opset_import: ["" : 18]>', "ir_version 2"),
        ('<ir_version: 9, opset_import: ["d" : 1]>', "states no opset"),
        ('<ir_version: 9, opset_import: ["" : 18, "ai.onnx" : 17]>', "two opset versions"),
    ],
)
def test_versions(model, write, assert_refused, head, words):
    assert_refused(write(model(RELU, head)), words, kind=ModelError)


@pytest.mark.parametrize("opset", [7, 9, 13, 18, 21, 23])
def test_opsets_old_and_new(model, write, opset):
    head = f'<ir_version: 7, opset_import: ["" : {opset}]>'
    assert ModelArtifact.open(write(model(RELU, head))).notes == ()


def test_ir_version_3_with_initializers_among_the_inputs(model, write):
    text = "g (float[4] x, float[4] w) => (float[4] y) <float[4] w = {0, 1, 2, 3}> { y = Add(x, w) }"
    made = model(text, '<ir_version: 3, opset_import: ["" : 9]>')
    assert [spec.name for spec in ModelArtifact.open(write(made)).inputs] == ["x"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("g (float[4] x) => (float[4] y) { y = FooBar(x) }", "FooBar"),
        ("g (float[4] x) => (float[5] y) { y = Relu(x) }", "shape inference failed"),
        (
            "g (float[4] x) => (float[4] y) <int64[4] w = {0, 1, 2, 3}> { y = Add(x, w) }",
            "shape inference failed",
        ),
        ("g (float[4] x) => (float[4] y) { y = Relu <alpha = 1.0> (x) }", "alpha"),
        ("g (float[4] x) => (float[4] y) { y = Relu(x, x) }", "Relu"),
    ],
)
def test_what_onnx_itself_refuses(write, assert_refused, text, words):
    assert_refused(write(text), words, kind=ModelError)


def test_operators_of_other_domains_are_let_in_and_noted(write):
    artifact = ModelArtifact.open(write("g (float[4] x) => (float[4] y) { y = d.Foo(x) }"))
    assert artifact.notes == ("operators of domain 'd' need a library to run: Foo",)


def test_onnxruntimes_own_operators_are_let_in(write):
    path = write("g (float[4] x) => (float[4] y) { z = com.microsoft.Gelu(x)  y = Relu(z) }")
    assert ModelArtifact.open(path).notes == ()


def test_outputs_of_unknown_rank(write, model):
    made = model(RELU)
    made.graph.output[0].type.tensor_type.ClearField("shape")
    assert ModelArtifact.open(write(made)).outputs[0].shape is None


def test_minus_one_and_placeholders_are_free_dimensions(write, model):
    made = model(RELU)
    for value in (*made.graph.input, *made.graph.output):
        value.type.tensor_type.shape.dim.add(dim_value=-1)
        value.type.tensor_type.shape.dim.add(dim_param="?")
    artifact = ModelArtifact.open(write(made))
    assert artifact.inputs[0].shape == (4, None, None)
    assert "4 dimensions" in artifact.notes[0]


@pytest.mark.parametrize(
    ("dims", "kind"), [([2**40, 2**12], LimitError), ([-4], ModelError), ([2**40, 2**40], ModelError)]
)
def test_declared_inputs(write, model, assert_refused, dims, kind):
    made = model(RELU)
    made.graph.input[0].CopyFrom(onnx.helper.make_tensor_value_info("x", 1, dims))
    assert_refused(write(made), "value 'x'", kind=kind)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.inf, np.nan])
@pytest.mark.parametrize("op", ["QuantizeLinear", "DequantizeLinear"])
def test_scales(write, model, assert_refused, scale, op):
    made = model(
        "g (float[4] x) => (float[4] y) <float s = {1}, float t = {1}, uint8 z = {0}>"
        "{ q = QuantizeLinear(x, s, z)  y = DequantizeLinear(q, t, z) }"
    )
    index = 0 if op == "QuantizeLinear" else 1
    made.graph.initializer[index].CopyFrom(numpy_helper.from_array(np.float32(scale), "st"[index]))
    assert_refused(write(made), op, "zero, negative or not finite", kind=ModelError)


@pytest.mark.parametrize("value", ["value_float = 0.0", "value_floats = [1.0, -1.0]"])
def test_scales_in_constant_nodes(write, assert_refused, value):
    path = write(
        "g (float[2] x) => (uint8[2] y) <uint8 z = {0}>"
        f"{{ s = Constant <{value}> ()  y = QuantizeLinear(x, s, z) }}"
    )
    assert_refused(path, "'s'", kind=ModelError)


@pytest.mark.parametrize(
    "call",
    ["QLinearSigmoid (q, s, z, t, z)", "QLinearConcat (t, z, q, s, z)", "QLinearConcat (s, z, q, t, z)"],
)
def test_scales_of_the_runtimes_own_operators(write, assert_refused, call):
    path = write(
        "g (uint8[4] q) => (uint8[N] y) <float s = {0}, float t = {1}, uint8 z = {0}>"
        f"{{ y = com.microsoft.{call} }}"
    )
    assert_refused(path, "'s'", kind=ModelError)


def _with_sparse(made, values, indices, dims):
    sparse = made.graph.sparse_initializer.add(dims=dims)
    sparse.values.CopyFrom(numpy_helper.from_array(np.array(values, np.float32), "w"))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.array(indices, np.int64)))
    del made.graph.initializer[:]
    return made


@pytest.mark.parametrize(("indices", "dims"), [([1, 3], [4]), ([[1], [3]], [4])])
def test_sparse_initializers_become_dense(write, model, indices, dims):
    artifact = ModelArtifact.open(write(_with_sparse(model(), [5, 7], indices, dims)))
    assert artifact.load().graph.initializers["w"].const_value.numpy().tolist() == [0, 5, 0, 7]
    assert artifact.notes == ("1 sparse tensors were made dense",)


@pytest.mark.parametrize("indices", [[1, 4], [1, -1], [1, 1], [1], [[1, 0], [2, 0]]])
def test_bad_sparse_indices(write, model, assert_refused, indices):
    assert_refused(
        write(_with_sparse(model(), [5, 7], indices, [4])), "sparse initializer 'w'", kind=ModelError
    )


def test_sparse_bomb(write, model, assert_refused):
    assert_refused(write(_with_sparse(model(), [5], [1], [2**33])), "dense bytes", kind=LimitError)


def _concat_bomb(count):
    chain = "  ".join(f"c{i + 1} = Concat <axis = 0> (c{i}, c{i})" for i in range(count))
    return f"g (float[4] x) => (int64[N] y) {{ c0 = Shape(x)  {chain}  y = Identity(c{count}) }}"


def _gather_bomb(count):
    chain = "  ".join(f"c{i + 1} = Gather(c{i}, c{i})" for i in range(count))
    return f"g (int64[1,1] c0) => (float y) {{ {chain}  s = Size(c{count})  y = Cast <to = 1> (s) }}"


@pytest.mark.parametrize("text", [_concat_bomb(40), _gather_bomb(40)])
def test_shapes_that_would_fill_the_memory(write, assert_refused, text):
    limits = Limits(inference_s=2.0, inference_bytes=1 << 30)
    assert_refused(write(text), "shape inference took more than", kind=LimitError, limits=limits)


def test_shapes_beyond_the_bound_are_still_inferred_in_a_child(write, assert_refused):
    limits = Limits(inferred_elements=10)
    assert ModelArtifact.open(write(_concat_bomb(5)), limits).outputs[0].name == "y"
    assert_refused(
        write(_concat_bomb(5).replace("[N]", "[7]")), "(32) vs (7)", kind=ModelError, limits=limits
    )


def test_the_child_imports_nothing_from_where_the_user_is(write, tmp_path, monkeypatch):
    (tmp_path / "onnx.py").write_text("raise SystemExit('imported from the current folder')")
    monkeypatch.chdir(tmp_path)
    assert ModelArtifact.open(write(_concat_bomb(5)), Limits(inferred_elements=10)).notes == ()


def test_a_child_that_cannot_start_is_no_limit(write, assert_refused, monkeypatch):
    monkeypatch.setattr("sys.path", [])
    limits = Limits(inferred_elements=10)
    assert_refused(
        write(_concat_bomb(5)), "process for shape inference failed", kind=EnvironmentFault, limits=limits
    )


def test_too_many_nodes(write, assert_refused):
    assert_refused(write(_concat_bomb(20)), "nodes", kind=LimitError, limits=Limits(nodes=10))


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "\x1b[31mred", "a" * 1_000_000, "{{7*7}}", "../../x"]
)
def test_hostile_names_are_kept_and_escaped_in_messages(write, model, name):
    made = model(RELU)
    made.graph.input[0].name = made.graph.node[0].input[0] = name
    assert ModelArtifact.open(write(made)).inputs[0].name == name
    made.graph.node[0].input.append(name + "!")
    with pytest.raises(ModelError) as caught:
        ModelArtifact.open(write(made))
    assert caught.value.cause.isprintable()
    assert len(caught.value.cause) < 400
