"""Sizes that a graph computes: folded where known, with the same outputs as before."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from sardonyx.calib_data import CalibrationData, OrtRunner
from sardonyx.core.shapes import infer_shapes
from sardonyx.passes.cleanup import CleanupPass
from sardonyx.passes.shape_values import fold_shape_values

X = np.random.default_rng(0).standard_normal((3, 8, 4, 4)).astype("f4")
GRAPHS = {
    "view by channels": """
        s = Shape(x)  n = Gather<axis = 0>(s, zero)  c = Gather<axis = 0>(s, one)
        half = Div(c, two)  a = Unsqueeze(n, front)  b = Unsqueeze(half, front)
        t = Concat<axis = 0>(a, pair, b, rest)  y = Reshape(x, t)""",
    "half by a computed end": """
        s = Shape<start = 1, end = 2>(x)  e = Div(s, twos)  y = Slice(x, front, e, ones)""",
    "expanded to its own batch": """
        m = ReduceMean<axes = [1], keepdims = 1>(x)  s = Shape(x)  p = Equal(s, minus)  w = Where(p, four, s)
        y = Expand(m, w)""",
    "scaled by a float": """
        s = Shape<start = 2>(x)  f = Cast<to = 1>(s)  g = Mul(f, onehalf)  i = Cast<to = 7>(g)
        t = Concat<axis = 0>(front, front, i)  e = Concat<axis = 0>(many, many, i)
        z = ConstantOfShape<value = int64[1] {0}>(quad)  y = Slice(x, z, e)""",
}
CONSTANTS = {
    "zero": np.int64(0), "one": np.int64(1), "two": np.int64(2), "front": [0], "pair": [2], "rest": [4, 4],
    "twos": [2], "ones": [1], "minus": [-1], "four": [1, 1, 1, 1], "many": [2**40], "quad": [4],
}  # fmt: skip


def graph(text: str) -> ir.Model:
    header = '<ir_version: 8, opset_import: ["" : 15]>\ng (float[N,8,4,4] x) => (float y) {\n'
    model = onnx.parser.parse_model(header + text + "\n}")
    constants = {**{k: np.asarray(v, np.int64) for k, v in CONSTANTS.items()}, "onehalf": np.float32(0.5)}
    used = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items() if n in used
    )
    model.graph.output[0].type.tensor_type.ClearField("shape")
    made = ir.from_proto(model)
    infer_shapes(made)
    return made


def run(model: ir.Model) -> np.ndarray:
    data = CalibrationData.from_arrays({"x": X})
    return next(iter(OrtRunner(threads=1).run(model, data.batches(len(X)), ["y"])))["y"]


@pytest.mark.parametrize("text", GRAPHS.values(), ids=GRAPHS)
def test_what_is_folded_means_the_same(text: str) -> None:
    model = graph(text)
    before = run(model)
    assert fold_shape_values(model) > 0
    np.testing.assert_array_equal(run(model), before)
    CleanupPass()(model)
    np.testing.assert_array_equal(run(model), before)


@pytest.mark.parametrize("name", ["view by channels", "half by a computed end", "scaled by a float"])
def test_nothing_asks_for_a_size_any_more(name: str) -> None:
    model = graph(GRAPHS[name])
    CleanupPass()(model)
    assert len(list(model.graph)) == 1


def test_the_batch_keeps_its_place_and_one_free_size_is_left_over() -> None:
    model = graph(GRAPHS["view by channels"])
    fold_shape_values(model)
    (reshape,) = [n for n in model.graph if n.op_type == "Reshape"]
    assert reshape.inputs[1].const_value.numpy().tolist() == [0, 2, 4, 4, 4]


def test_a_size_that_nobody_knows_stays_computed() -> None:
    model = graph("s = Shape(x)  n = Gather<axis = 0>(s, zero)  d = Mul(n, two)  a = Unsqueeze(d, front)\n"
                  "t = Concat<axis = 0>(a, twos, a)  z = Concat<axis = 0>(x, x)  y = Reshape(z, t)")  # fmt: skip
    fold_shape_values(model)
    (reshape,) = [n for n in model.graph if n.op_type == "Reshape"]
    assert reshape.inputs[1].producer() is not None
