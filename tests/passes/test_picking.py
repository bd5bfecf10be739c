"""A Gather behind a Concat reads the input that it picks from."""

from __future__ import annotations

import numpy as np
import pytest
from nets import Net
from sardonyx.calib_data import CalibrationData, OrtRunner
from sardonyx.passes.picking import pick_before_joining

X = np.random.default_rng(0).standard_normal((2, 3, 4)).astype("f4")


def run(model, name):
    data = CalibrationData.from_arrays({"x": X})
    return next(iter(OrtRunner(threads=1).run(model, data.batches(2), [name])))[name]


@pytest.mark.parametrize(
    ("index", "axis", "picked"),
    [(-1, 1, True), (4, 1, True), ([3, 5], 1, True), ([0, 4], 1, False), (0, 2, False)],
)
def test_the_same_is_picked(index, axis, picked):
    n = Net(("N", 3, 4))
    joined = n.op("Concat", n.op("Relu", n.x), n.op("Neg", n.x), axis=1)
    model = n.model(n.op("Gather", joined, n.const(np.asarray(index, np.int64)), axis=axis))
    name = model.graph.outputs[0].name
    before = run(model, name)
    assert pick_before_joining(model) == picked
    np.testing.assert_array_equal(run(model, name), before)
    source = list(model.graph)[-1].inputs[0].producer().op_type
    assert source == ("Neg" if picked else "Concat")
