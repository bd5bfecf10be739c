"""What each criterion looks at: one neuron of four is made worthless in its eyes, and goes first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest
from nets import Net
from sardonyx.calib_data import CalibrationData
from sardonyx.core.errors import UsageError
from sardonyx.core.targets import get_target
from sardonyx.passes.pruning import NeuronView, PruneOptions, prune

Weights = dict[str, np.ndarray]
WIDTH, WORTHLESS = 4, 2
X = np.abs(np.random.default_rng(0).standard_normal((64, 6))).astype("f4")


def perceptron(change: Callable[[Weights], None]) -> ir.Model:
    """``y = relu(x A + a) B`` with four hidden neurons, after a change to its weights."""
    random = np.random.default_rng(1)
    weights = {
        "A": np.abs(random.standard_normal((6, WIDTH))) + 0.5,
        "a": np.zeros(WIDTH),
        "B": np.abs(random.standard_normal((WIDTH, 3))) + 0.5,
    }
    change(weights)
    n = Net(("N", 6))
    a, bias, b = (n.const(array.astype("f4"), name) for name, array in weights.items())
    hidden = n.op("Relu", n.op("Gemm", n.x, a, bias))
    return n.model(n.op("MatMul", hidden, b))


def scale(name: str, factor: float) -> Callable[[Weights], None]:
    def change(weights: Weights) -> None:
        part = weights[name] if name == "B" else weights[name].T
        part[WORTHLESS] *= factor

    return change


def silence(weights: Weights) -> None:
    """Below zero on every sample; its weights are the largest."""
    weights["A"][:, WORTHLESS] = 10.0
    weights["a"][WORTHLESS] = -1e4


def petrify(weights: Weights) -> None:
    """The same on every sample, and large."""
    weights["A"][:, WORTHLESS] = 0.0
    weights["a"][WORTHLESS] = 50.0


def copy(weights: Weights) -> None:
    weights["A"][:, WORTHLESS] = 2 * weights["A"][:, 0]


CASES = [
    ("magnitude", lambda w: [scale("A", 0.01)(w), scale("B", 0.01)(w)]),
    ("l1", lambda w: [scale("A", 0.01)(w), scale("B", 0.01)(w)]),
    ("activation", silence),
    ("apoz", silence),
    ("variance", petrify),
    ("wanda", scale("B", 0.01)),
    ("second-order", silence),
]


def left(model: ir.Model, **options: object) -> np.ndarray:
    """The weights of the neurons that stay after one was cut."""
    data = CalibrationData.from_arrays({"x": X})
    wanted = PruneOptions(ratio=0.25, align=1, steps=1, compensate=False, **options)
    return (
        prune(model, data, wanted, target=get_target("cpu-x86"))
        .model.graph.initializers["A"]
        .const_value.numpy()
    )


@pytest.mark.parametrize(("criterion", "change"), CASES, ids=[name for name, _ in CASES])
def test_the_worthless_neuron_goes_first(criterion: str, change: Callable[[Weights], None]) -> None:
    model = perceptron(change)
    before = model.graph.initializers["A"].const_value.numpy()
    np.testing.assert_array_equal(left(model, criterion=criterion), np.delete(before, WORTHLESS, axis=1))


def test_similarity_takes_one_of_two_that_say_the_same() -> None:
    model = perceptron(copy)
    kept = left(model, criterion="similarity")
    assert kept.shape == (6, 3)
    assert np.linalg.matrix_rank(kept) == 3


def test_a_function_of_the_user_decides() -> None:
    model = perceptron(lambda w: None)
    seen: list[NeuronView] = []

    def mine(neurons: NeuronView) -> list[float]:
        seen.append(neurons)
        return [3.0, 0.5, 2.0, 1.0]

    before = model.graph.initializers["A"].const_value.numpy()
    np.testing.assert_array_equal(left(model, criterion=mine), np.delete(before, 1, axis=1))
    assert seen[0].means[0] == pytest.approx(np.maximum(X @ before, 0).mean(0), rel=1e-4)
    assert sorted(w.shape for w in seen[0].weights) == [(4, 3), (4, 6)]


@pytest.mark.parametrize("scores", [[1.0], [1.0, 2.0, 3.0, -1.0], [1.0, 2.0, np.nan, 1.0]])
def test_scores_that_are_none_are_refused(scores: list[float]) -> None:
    with pytest.raises(UsageError, match="criterion"):
        left(perceptron(lambda w: None), criterion=lambda neurons: scores)
