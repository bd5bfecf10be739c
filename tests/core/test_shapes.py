from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from sardonyx.core import ModelError, concrete_shapes, infer_shapes

CONV = """g (float[N,3,8,8] x) => (float[N,4] y) {
    c = Conv <pads = [1,1,1,1]> (x, w)  p = GlobalAveragePool(c)  s = Shape(p)  z = Constant <value_int = 0> ()
    n = Gather(s, z)  a = Constant <value_ints = [0]> ()  u = Unsqueeze(n, a)
    m = Constant <value_ints = [4]> ()  t = Concat <axis = 0> (u, m)  y = Reshape(p, t)
}"""


@pytest.fixture
def graph(model):
    made = model(CONV)
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w"))
    return ir.from_proto(made)


def _values(graph):
    return {value.name: value for node in graph.graph for value in node.outputs}


def test_writes_what_it_proves(graph):
    infer_shapes(graph)
    values = _values(graph)
    assert values["c"].shape == ["N", 4, 8, 8]
    assert values["c"].dtype == ir.DataType.FLOAT
    assert values["t"].shape == [2]


def test_forgets_stale_shapes(graph):
    _values(graph)["c"].shape = ir.Shape([1, 7, 7, 7])
    infer_shapes(graph)
    assert _values(graph)["c"].shape == ["N", 4, 8, 8]


def test_a_stale_weight_is_an_error_and_not_a_shape(graph):
    graph.graph.initializers["w"].const_value = ir.tensor(np.ones((4, 3, 3), np.float32), name="w")
    with pytest.raises(ModelError, match="shape inference failed"):
        infer_shapes(graph)


@pytest.mark.parametrize("dims", [(2, 4), ("N", 5)])
def test_a_wrong_declared_output_is_an_error(graph, dims):
    graph.graph.outputs[0].shape = ir.Shape(dims)
    if dims == (2, 4):
        graph.graph.inputs[0].shape = ir.Shape([3, 3, 8, 8])
    with pytest.raises(ModelError, match="shape inference failed"):
        infer_shapes(graph)


def test_shapes_for_given_inputs(graph):
    shapes = concrete_shapes(graph, {"x": (2, 3, 6, 5)})
    assert (shapes["c"], shapes["p"], shapes["y"]) == ((2, 4, 6, 5), (2, 4, 1, 1), (2, 4))
    assert shapes["w"] == (4, 3, 3, 3)


def test_shapes_that_the_graph_contradicts(graph):
    with pytest.raises(ModelError, match="shape inference failed"):
        concrete_shapes(graph, {"x": (2, 3, 6)})


def test_the_graph_is_left_as_it_is(graph):
    random = np.random.default_rng(0).standard_normal((64, 3, 9, 9)).astype(np.float32)
    graph.graph.register_initializer(ir.Value(name="v", const_value=ir.tensor(random, name="v")))
    before = ir.to_proto(graph).SerializeToString(deterministic=True)
    with pytest.raises(ModelError):
        concrete_shapes(graph, {"x": (1, 3, 8)})
    concrete_shapes(graph, {"x": (1, 3, 8, 8)})
    assert ir.to_proto(graph).SerializeToString(deterministic=True) == before
    assert [v.name for v in graph.graph.inputs] == ["x"]


def test_large_weights_are_seen_by_shape_only(graph):
    class Unread(ir.Tensor):
        def numpy(self):
            raise AssertionError("the weight was read")

        def tobytes(self):
            raise AssertionError("the weight was copied")

    weight = Unread(np.ones((4, 3, 40, 40), np.float32), name="w")
    graph.graph.initializers["w"].const_value = weight
    assert concrete_shapes(graph, {"x": (1, 3, 64, 64)})["c"] == (1, 4, 27, 27)
