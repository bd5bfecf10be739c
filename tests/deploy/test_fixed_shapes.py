from __future__ import annotations

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest
from nets import Net
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.core import ModelArtifact, ModelError, UsageError
from sardonyx.deploy.fixed_shapes import fix_shapes, open_dims

TWO = """<ir_version: 8, opset_import: ["" : 17]> g (float[N,T,4] x, float[N,4] q, float[?] b) => (float[N,T] y, int64[] n)
<int64[1] last = {2}> { u = Unsqueeze(q, last) p = MatMul(x, u) y = Squeeze(p, last) s = Shape(b) n = Squeeze(s) }"""
LOOP = """<ir_version: 8, opset_import: ["" : 17]> g (float[N,3] x, int64 trips, bool go) => (float[N,3] y) {
    y = Loop (trips, go, x) <body = b (int64 i, bool c, float[N,3] before) => (bool k, float[N,3] after) {
        k = Identity(c) after = Add(before, before) }> }"""


def parse(text: str) -> ModelArtifact:
    return ModelArtifact.of(ir.from_proto(onnx.parser.parse_model(text)))


def shapes(model: ModelArtifact) -> dict[str, object]:
    return {spec.name: spec.shape for spec in (*model.inputs, *model.outputs)}


def test_open_dimensions_are_named():
    assert open_dims(parse(TWO)) == (
        "input x, axis 0: 'N'",
        "input x, axis 1: 'T'",
        "input q, axis 0: 'N'",
        "input b, axis 0: no name",
    )


@pytest.mark.parametrize(
    ("dims", "inputs"),
    [
        ({"N": 2, "T": 5}, {"b": (7,)}),
        ({"N": 2}, {"x": (2, 5, 4), "b": [7]}),
        ({"T": 5}, {"q": (2, 4), "b": (7,)}),
    ],
)
def test_names_and_shapes_fix_every_place(dims, inputs):
    fixed = fix_shapes(parse(TWO), dims, inputs)
    assert shapes(fixed) == {"x": (2, 5, 4), "q": (2, 4), "b": (7,), "y": (2, 5), "n": ()}
    assert open_dims(fixed) == ()


def test_what_is_not_asked_for_stays_open():
    fixed = fix_shapes(parse(TWO), {"N": 2})
    assert shapes(fixed)["x"] == (2, "T", 4)
    assert shapes(fixed)["y"] == (2, "T")


def test_intermediate_shapes_are_inferred_again():
    net = Net(("N", 3, "H", "W"))
    model = ModelArtifact.of(net.model(net.head(net.relu(net.conv(net.x, 6)))))
    fixed = fix_shapes(model, {"N": 1, "H": 8, "W": 6}).load()
    assert [node.outputs[0].shape for node in fixed.graph][:2] == [[1, 6, 8, 6]] * 2
    assert fixed.graph.outputs[0].shape == [1, 5]


def test_nothing_else_changes():
    net = Net()
    model = ModelArtifact.of(net.model(net.head(net.conv(net.x, 6))))
    fixed = fix_shapes(model, {"N": 2})
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    name = model.outputs[0].name
    before, after = (next(OrtRunner(1).run(m.load(), [{"x": x}], [name]))[name] for m in (model, fixed))
    assert np.array_equal(before, after)
    assert shapes(model)["x"] == ("N", 3, 8, 8)
    assert [n.name for n in fixed.load().graph] == [n.name for n in model.load().graph]


def test_inner_graphs_are_fixed_too():
    graph = fix_shapes(parse(LOOP), {"N": 2}).load().graph
    body = next(iter(graph)).attributes["body"].as_graph()
    assert body.inputs[2].shape == body.outputs[1].shape == graph.outputs[0].shape == [2, 3]


@pytest.mark.parametrize(
    ("dims", "inputs", "words"),
    [
        ({"M": 1}, {}, r"no input has a dimension 'M' \(dimensions: N, T\)"),
        ({}, {"z": (1,)}, r"no input 'z' \(inputs: x, q, b\)"),
        ({"N": 0}, {}, "dimension 'N' cannot have size 0"),
        ({"N": True}, {}, "dimension 'N' cannot have size True"),
        ({}, {"b": (-1,)}, "input b cannot have size -1"),
        ({}, {"q": (1, 2, 4)}, "input q has 2 dimensions, and 3 are given"),
        ({}, {"q": (1, 3)}, "input q, axis 1, is to be 3, and 4 already"),
        ({"N": 2}, {"q": (3, 4)}, "input q, axis 0, is to be 3, and 2 already"),
        ({}, {"x": (2, 5, 4), "q": (3, 4)}, "input q, axis 0, is to be 3, and 2 already"),
    ],
)
def test_contradictions_are_refused(dims, inputs, words):
    with pytest.raises(UsageError, match=words):
        fix_shapes(parse(TWO), dims, inputs)


def test_a_graph_that_works_at_another_size_alone_is_refused():
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[N,2] x) => (float[M,2] y)
    <float[2,2] w = {1, 2, 3, 4}> { y = Add(x, w) }"""
    with pytest.raises(ModelError, match="shape inference failed"):
        fix_shapes(parse(text), {"N": 3})
