from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from chain import C, W, X
from sardonyx.calib_data import CalibrationData, Gram, MinMax, Moments, OrtRunner, collect
from sardonyx.core import DataError, LimitError, ModelError, input_specs


class Counting(OrtRunner):
    """Remembers which values each run was asked for, and how large the batches were."""

    def __init__(self):
        super().__init__(threads=1)
        self.runs = []

    def run(self, model, feeds, outputs, *, optimize=False):
        feeds = list(feeds)
        self.runs.append((list(outputs), [len(feed["x"]) for feed in feeds]))
        yield from super().run(model, feeds, outputs, optimize=optimize)


@pytest.mark.parametrize("batch_size", [1, 7, 50, 64])
def test_statistics_do_not_depend_on_the_batch(graph, data, batch_size):
    observers = {"x": [Gram(1)], "b": [Moments(1), MinMax()], "y": [MinMax()]}
    collect(graph, data, observers, batch_size=batch_size)
    b = X.astype(np.float64) @ W + C
    assert np.allclose(observers["x"][0].second_moment, X.T @ X / 50, rtol=1e-5, atol=1e-6)
    assert np.allclose(observers["b"][0].mean, b.mean(0), rtol=1e-5, atol=1e-6)
    assert observers["b"][1].low == pytest.approx(b.min(), rel=1e-5)
    assert observers["y"][0].high == pytest.approx(np.sqrt(b.max()), rel=1e-5)


def test_one_run_serves_every_value(graph, data):
    runner = Counting()
    collect(graph, data, {"a": [MinMax()], "b": [MinMax()]}, runner=runner, batch_size=20)
    assert runner.runs == [(["a", "b"], [1]), (["a", "b"], [20, 20, 10])]


def test_the_memory_cap_shrinks_batches_and_splits_runs(graph, data):
    runner, observers = Counting(), {"a": [MinMax()], "b": [MinMax()], "r": [MinMax()]}
    collect(graph, data, observers, runner=runner, memory_bytes=3 * 16 + 2 * 12)
    assert [(names, max(sizes)) for names, sizes in runner.runs[1:]] == [(["a", "b"], 1), (["r"], 2)]
    assert observers["r"][0].high == pytest.approx((X @ W + C).max(), rel=1e-5)


def test_statistics_above_the_cap(graph, data):
    with pytest.raises(LimitError, match="the statistics take"):
        collect(graph, data, {"x": [Gram(1)]}, memory_bytes=100)


def test_progress_ends_at_the_whole(graph, data):
    told = []
    collect(
        graph, data, {"a": [MinMax()]}, batch_size=20, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(20, 50), (40, 50), (50, 50)]


def test_the_graph_is_left_as_it_is(graph, data):
    before = ir.to_proto(graph).SerializeToString(deterministic=True)
    collect(graph, data, {"a": [MinMax()], "x": [MinMax()]})
    assert ir.to_proto(graph).SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_sample_is_named(graph, bad):
    values = X.copy()
    values[33, 2] = bad
    data = CalibrationData.from_arrays({"x": values})
    with pytest.raises(DataError, match="batch 3: input 'x' holds NaN or infinity"):
        collect(graph, data, {"a": [MinMax()]}, batch_size=10)


def test_a_value_that_is_not_finite_is_named(graph, data):
    graph.graph.initializers["c"].const_value = ir.tensor(np.full(3, np.inf, np.float32), name="c")
    with pytest.raises(DataError, match="batch 0: b holds NaN or infinity"):
        collect(graph, data, {"a": [MinMax()], "b": [MinMax()]})


def test_a_value_that_does_not_exist(graph, data):
    with pytest.raises(ModelError, match="'nothing' is not in the graph"):
        collect(graph, data, {"nothing": [MinMax()]})


def test_a_graph_that_the_runtime_refuses(graph, data):
    graph.graph.initializers["w"].const_value = ir.tensor(np.zeros((9, 3), np.float32), name="w")
    with pytest.raises(ModelError):
        collect(graph, data, {"a": [MinMax()]})


def test_a_fixed_batch_is_kept(graph):
    graph.graph.inputs[0].shape = ir.Shape([8, 4])
    graph.graph.outputs[0].shape = ir.Shape([8, 3])
    runner, observers = Counting(), {"x": [MinMax()]}
    data = CalibrationData.from_arrays({"x": X}).for_model(input_specs(graph))
    collect(graph, data, observers, runner=runner, batch_size=32)
    assert runner.runs[1][1] == [8] * 6
    assert observers["x"][0].low == X[:48].min()
