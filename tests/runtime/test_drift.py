"""Where models drift apart: figures against their definitions, and the node that is at fault."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from onnx import helper
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import DataError, ModelError, UsageError
from sardonyx.runtime import Drift, DriftOptions, measure_drift

DIMS = ["N", 6]


def chain(build: Any, noise: dict[int, float], *, batch: Any = "N", last: str = "y") -> Any:
    """Three linear layers with a Relu behind each; some have noise on their weight."""
    weights, nodes = {}, []
    before = "x"
    for index in range(3):
        random = np.random.default_rng(index)
        weight = random.normal(size=(6, 6))
        weight += noise.get(index, 0.0) * random.normal(size=(6, 6))
        weights[f"w{index}"] = weight.astype(np.float32)
        after = last if index == 2 else f"r{index}"
        nodes.append(helper.make_node("MatMul", [before, f"w{index}"], [f"p{index}"], f"layer{index}"))
        nodes.append(helper.make_node("Relu", [f"p{index}"], [after], f"relu{index}"))
        before = after
    return build(nodes, {last: [batch, 6]}, weights, [batch, 6])


@pytest.fixture
def samples() -> CalibrationData:
    x = np.random.default_rng(9).normal(size=(30, 6)).astype(np.float32)
    return CalibrationData.from_arrays({"x": x})


def drift(build: Any, data: CalibrationData, noise: dict[int, float], **options: Any) -> Drift:
    return measure_drift(chain(build, {}), chain(build, noise), data, DriftOptions(**options), name="m")


def test_a_model_does_not_drift_from_itself(build: Any, samples: CalibrationData) -> None:
    found = drift(build, samples, {})
    assert [v.value for v in found.values] == ["p0", "r0", "p1", "r1", "p2", "y"]
    assert {(v.max_abs, v.sqnr_db, v.jump_db, v.broken) for v in found.values} == {(0.0, math.inf, None, 0)}
    assert (found.first_diverged, found.not_compared, found.samples) == (None, 0, 30)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_layer_at_fault_is_the_first_to_diverge(build: Any, samples: CalibrationData, layer: int) -> None:
    found = drift(build, samples, {layer: 1.0})
    assert found.first_diverged is not None
    assert (found.first_diverged.node, found.first_diverged.op_type) == (f"layer{layer}", "MatMul")
    before = [v for v in found.values if v.value in {f"p{i}" for i in range(layer)}]
    assert all(v.sqnr_db == math.inf for v in before)


def test_the_threshold_decides_what_has_diverged(build: Any, samples: CalibrationData) -> None:
    noise = {0: 0.01, 2: 0.3}
    assert drift(build, samples, noise, threshold_db=5.0).first_diverged is None
    assert drift(build, samples, noise, threshold_db=20.0).first_diverged.node == "layer2"
    assert drift(build, samples, noise, threshold_db=60.0).first_diverged.node == "layer0"


@pytest.mark.parametrize("memory", [1 << 30, 100])
def test_figures_against_their_definitions(build: Any, samples: CalibrationData, memory: int) -> None:
    noise = {0: 0.1}
    found = drift(build, samples, noise, batch_size=7, memory_bytes=memory)
    x = samples.source.read(range(30))["x"].astype(np.float64)
    weights = [chain(build, n).load().graph.initializers["w0"].const_value.numpy() for n in ({}, noise)]
    exact, other = (x @ w.astype(np.float64) for w in weights)
    first = found.values[0]
    error = other - exact
    assert first.max_abs == pytest.approx(np.abs(error).max(), rel=1e-4)
    assert first.relative == pytest.approx(np.abs(error).max() / np.abs(exact).max(), rel=1e-4)
    assert first.sqnr_db == pytest.approx(10 * np.log10((exact**2).sum() / (error**2).sum()), abs=1e-3)
    cosine = (exact * other).sum() / np.linalg.norm(exact) / np.linalg.norm(other)
    assert first.cosine == pytest.approx(cosine, abs=1e-6)
    assert found.values[2].jump_db == pytest.approx(found.values[1].sqnr_db - found.values[2].sqnr_db)
    assert found.outputs[0].sqnr_db == pytest.approx(found.values[-1].sqnr_db, abs=0.01)


def test_values_of_another_shape_are_counted_and_not_compared(build: Any, samples: CalibrationData) -> None:
    def narrow(width: int) -> Any:
        random = np.random.default_rng(0)
        weights = {n: random.normal(size=(6, 6)).astype(np.float32) for n in ("a", "b")}
        weights = {"a": weights["a"][:, :width], "b": weights["b"][:width]}
        nodes = [helper.make_node("MatMul", ["x", "a"], ["h"]), helper.make_node("MatMul", ["h", "b"], ["y"])]
        return build(nodes, {"y": DIMS}, weights, DIMS)

    found = measure_drift(narrow(6), narrow(5), samples)
    assert [v.value for v in found.values] == ["y"]
    assert found.not_compared == 1


def test_a_number_that_overflows_in_one_model_only_diverges(build: Any, samples: CalibrationData) -> None:
    def powers(scale: float) -> Any:
        nodes = [helper.make_node("Mul", ["x", "s"], ["h"]), helper.make_node("Exp", ["h"], ["y"], "power")]
        return build(nodes, {"y": DIMS}, {"s": np.float32([scale])}, DIMS)

    found = measure_drift(powers(1.0), powers(1.0), samples)
    assert found.first_diverged is None
    found = measure_drift(powers(1.0), powers(1e3), samples, DriftOptions(threshold_db=-1000))
    assert found.first_diverged.node == "power"
    assert found.first_diverged.broken > 0


def test_infinities_of_both_differ_in_nothing(build: Any, samples: CalibrationData) -> None:
    node = helper.make_node("Log", ["r"], ["y"])
    model = build([helper.make_node("Relu", ["x"], ["r"]), node], {"y": DIMS}, {}, DIMS)
    found = measure_drift(model, model, samples).outputs[0]
    assert (found.max_abs, found.broken) == (0.0, 0)


def test_few_samples_are_taken_and_as_many_as_a_batch_needs(build: Any, samples: CalibrationData) -> None:
    assert drift(build, samples, {0: 0.1}, samples=5).samples == 5
    fixed = measure_drift(chain(build, {}, batch=8), chain(build, {1: 0.1}), samples, DriftOptions(samples=2))
    assert fixed.samples == 8
    assert fixed.values[-1].sqnr_db < 60
    with pytest.raises(DataError, match="batches of 4 only, the other of 8"):
        measure_drift(chain(build, {}, batch=8), chain(build, {}, batch=4), samples)


def test_models_without_a_common_output_are_refused(build: Any, samples: CalibrationData) -> None:
    with pytest.raises(ModelError, match="share no floating-point output"):
        measure_drift(chain(build, {}), chain(build, {}, last="z"), samples)


@pytest.mark.parametrize("bad", [{"threshold_db": math.nan}, {"samples": 0}, {"batch_size": 0}])
def test_options_that_make_no_sense_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        DriftOptions(**bad)
