"""Networks of one dimension: laid flat, the same function, the same interface."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from nets import Net
from sardonyx.calib_data import CalibrationData, OrtRunner
from sardonyx.core.shapes import infer_shapes
from sardonyx.passes.cleanup import CleanupPass
from sardonyx.passes.one_dimension import lay_flat

X = np.random.default_rng(0).standard_normal((2, 3, 40, 1)).astype("f4")


def run(model: ir.Model, x: np.ndarray = X) -> list[np.ndarray]:
    data, names = CalibrationData.from_arrays({"x": x}), [v.name for v in model.graph.outputs]
    made = next(iter(OrtRunner(threads=1).run(model, data.batches(len(x)), names)))
    return [made[name] for name in names]


def tower(n: Net) -> ir.Value:
    """Convolutions with padding, stride and groups, a shortcut, a pool."""
    a = n.op("Conv", n.x, n.rand(8, 3, 9, 1), n.rand(8), pads=[3, 0, 5, 0], strides=[2, 1])
    b = n.op("Relu", n.op("Conv", a, n.rand(8, 4, 5, 1), pads=[2, 0, 2, 0], group=2, kernel_shape=[5, 1]))
    c = n.op("MaxPool", n.op("Add", a, b), kernel_shape=[2, 1], strides=[2, 1])
    return n.op("Conv", c, n.rand(4, 8, 3, 1), dilations=[2, 1])


@pytest.mark.parametrize("tail", ["output", "flatten", "transpose"])
def test_laid_flat_it_computes_the_same(tail: str) -> None:
    n = Net(("N", 3, 40, 1))
    y = tower(n)
    if tail == "flatten":
        y = n.op("Flatten", y)
    if tail == "transpose":
        y = n.op("Transpose", y, perm=[0, 2, 1, 3])
    model = n.model(y)
    before, shapes = run(model), [v.shape for v in model.graph.outputs]
    assert lay_flat(model) == 3
    infer_shapes(model)
    assert all(
        node.inputs[1].const_value.shape.numpy()[2] == 1 for node in model.graph if node.op_type == "Conv"
    )
    assert [v.shape for v in model.graph.outputs] == shapes
    CleanupPass()(model)
    for one, other in zip(run(model), before, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_a_value_inside_that_is_read_elsewhere_stays_upright_there() -> None:
    n = Net(("N", 3, 40, 1))
    a = n.op("Relu", n.op("Conv", n.x, n.rand(4, 3, 5, 1), pads=[2, 0, 2, 0]))
    model = n.model(n.op("Conv", a, n.rand(2, 4, 3, 1)), n.op("ReduceSum", a, n.ints(2), keepdims=0))
    before = run(model)
    assert lay_flat(model) == 2
    infer_shapes(model)
    for one, other in zip(run(model), before, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [("N", 3, 8, 8), ("N", 3, 1, 1)])
def test_pictures_are_left_alone(shape: tuple[str | int, ...]) -> None:
    n = Net(shape)
    assert lay_flat(n.model(n.relu(n.conv(n.x, 4, k=1)))) == 0
