"""The proof: what rounding explains passes, and nothing else does."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from nets import Net
from sardonyx.calib_data import CalibrationData, OrtRunner
from sardonyx.core.errors import ExpectationError
from sardonyx.passes.pruning.proof import prove_cut

RUNNER = OrtRunner(threads=1)
DATA = CalibrationData.from_arrays({"x": np.random.default_rng(0).standard_normal((16, 4)).astype("f4")})


def logistic(steps: int, gain: float = 1.0) -> ir.Model:
    """Iterates ``4 x (1 - x)`` from inputs scaled by a gain: each step doubles what rounding did before."""
    n = Net(("N", 4))
    x = n.op("Sigmoid", n.op("Mul", n.x, n.floats(gain)))
    for _ in range(steps):
        x = n.op("Mul", n.op("Mul", x, n.floats(4.0)), n.op("Sub", n.floats(1.0), x))
    return n.model(x)


def test_equal_graphs_are_proven_and_nobody_asks_for_the_noise() -> None:
    proof = prove_cut(logistic(2), logistic(2), DATA, RUNNER)
    assert (proof.samples, proof.largest_difference, proof.noise) == (16, 0.0, None)


def test_a_graph_that_amplifies_rounding_is_judged_by_what_it_does_to_itself() -> None:
    proof = prove_cut(logistic(9), logistic(9, gain=1 + 1e-7), DATA, RUNNER)
    assert 1e-5 < proof.largest_difference <= proof.tolerance <= 10 * proof.noise


@pytest.mark.parametrize("steps", [0, 2, 9])
def test_what_is_more_than_rounding_fails(steps: int) -> None:
    with pytest.raises(ExpectationError, match="the proof failed"):
        prove_cut(logistic(steps), logistic(steps, gain=1.01), DATA, RUNNER)


def test_a_graph_that_amplifies_rounding_without_bound_proves_nothing() -> None:
    with pytest.raises(ExpectationError, match=r"1\.0e-03 is allowed"):
        prove_cut(logistic(24), logistic(24, gain=1 + 1e-7), DATA, RUNNER)
