"""Shapes of what a Loop carries, where the body declares none."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from sardonyx.core.errors import ModelError
from sardonyx.core.shapes import infer_shapes

HEADER = '<ir_version: 9, opset_import: ["" : 18]>\n'
COUNT = "n = Constant<value = int64 {3}>() go = Constant<value = bool {1}>()"


def inferred(text: str) -> ir.Model:
    proto = onnx.parser.parse_model(HEADER + text)
    weight = np.ones((8, 8), np.float32)
    if "w" in {name for node in proto.graph.node for name in _read(node)}:
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    model = ir.from_proto(proto)
    infer_shapes(model)
    return model


def _read(node: onnx.NodeProto) -> list[str]:
    inner = (name for a in node.attribute for n in a.g.node for name in _read(n))
    return [*node.input, *inner]


def sizes(model: ir.Model, name: str) -> list[int | None] | None:
    """The static sizes of a value, wherever it is."""
    values = [v for n in ir.traversal.RecursiveGraphIterator(model.graph) for v in n.outputs]
    values += [v for graph in model.graph.subgraphs() for v in graph.inputs]
    (value,) = [v for v in values if v.name == name]
    return None if value.shape is None else [d if isinstance(d, int) else None for d in value.shape]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("k = MatMul(h, w)", [4, 8]),
        ("k = Concat<axis = 0>(h, h)", [None, 8]),
        ("k = Concat<axis = 1>(h, h)", [4, None]),
        ("k = Transpose(h)", [None, None]),
        ("s = Constant<value_ints = [0]>() k = Unsqueeze(h, s)", None),
        ("s = Shape(h) r = NonZero(s) q = Squeeze(r) k = Reshape(h, q)", None),
    ],
)
def test_a_state_keeps_the_sizes_that_the_body_proves(step, expected):
    model = inferred(
        f"""g (float[4,8] x) => (float y) {{ {COUNT}
        f = Loop(n, go, x) <body = b (int64 i, bool ci, h) => (bool co, k) {{ co = Identity(ci) {step} }}>
        t = Relu(f) y = ReduceSum<keepdims = 0>(t) }}"""
    )
    assert [sizes(model, name) for name in ("h", "f", "t")] == [expected] * 3


def test_two_states_that_change_places_keep_what_they_share():
    model = inferred(
        f"""g (float[4,8] x) => (float y) {{ {COUNT} o = Constant<value_ints = [1]>() z = ReduceSum(x, o)
        f, q = Loop(n, go, x, z) <body = b (int64 i, bool ci, h, l) => (bool co, k, m) {{
            co = Identity(ci) k = Identity(l) m = Identity(h) }}>
        s = Add(f, q) y = ReduceSum<keepdims = 0>(s) }}"""
    )
    assert [sizes(model, name) for name in ("h", "l", "k", "m", "f", "q")] == [[4, None]] * 6


def test_a_loop_within_a_loop_is_proven_with_it():
    model = inferred(
        f"""g (float[4,8] x) => (float y) {{ {COUNT}
        f = Loop(n, go, x) <body = b (int64 i, bool ci, h) => (bool co, k) {{
            co = Identity(ci)
            k = Loop(n, ci, h) <body = bb (int64 j, bool cj, l) => (bool dj, m) {{
                dj = Identity(cj) m = MatMul(l, w) }}> }}>
        y = ReduceSum<keepdims = 0>(f) }}"""
    )
    assert [sizes(model, name) for name in ("h", "l", "m", "f")] == [[4, 8]] * 4


def test_a_supposed_size_that_contradicts_the_body_is_forgotten():
    # With a state of (4, 8) the product does not fit: the first iteration would fail, and nothing may be proven.
    model = inferred(
        f"""g (float[4,8] x) => (float y) {{ {COUNT}
        f = Loop(n, go, x) <body = b (int64 i, bool ci, h) => (bool co, k) {{
            co = Identity(ci) a = Transpose<perm = [1, 0]>(h) k = MatMul(a, w) }}>
        y = ReduceSum<keepdims = 0>(f) }}"""
    )
    assert sizes(model, "f") is None


def test_branches_that_use_one_name_have_shapes_of_their_own():
    model = inferred(
        """g (float[4,8] x, bool c) => (float y) {
        f = If(c) <then_branch = t () => (o) { p = Identity(x) o = ReduceSum<keepdims = 0>(p) },
                   else_branch = e () => (o) { p = Transpose(x) o = ReduceSum<keepdims = 0>(p) }>
        y = Neg(f) }"""
    )
    found = [
        list(v.shape)
        for n in ir.traversal.RecursiveGraphIterator(model.graph)
        for v in n.outputs
        if v.name == "p"
    ]
    assert found == [[4, 8], [8, 4]]


def test_what_a_body_declares_wrongly_is_refused():
    with pytest.raises(ModelError, match="shape inference failed"):
        inferred(
            f"""g (float[4,8] x) => (float y) {{ {COUNT}
            f = Loop(n, go, x) <body = b (int64 i, bool ci, float[4,8] h) => (bool co, float[8,8] k) {{
                co = Identity(ci) k = Relu(h) }}>
            y = ReduceSum<keepdims = 0>(f) }}"""
        )


def test_a_body_that_lacks_a_state_is_refused():
    with pytest.raises(ModelError, match="shape inference failed"):
        inferred(
            f"""g (float[4,8] x) => (float y) {{ {COUNT}
            f = Loop(n, go, x) <body = b (int64 i, bool ci) => (bool co, k) {{ co = Identity(ci) k = Relu(x) }}>
            y = ReduceSum<keepdims = 0>(f) }}"""
        )
