"""The order and the cost of elimination, against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from sardonyx.passes.pruning.second_order import Reader, elimination
from sardonyx.passes.pruning.shrinkage import ridged


def reader(seed: int = 0, size: int = 6, block: int = 1) -> tuple[Reader, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.standard_normal((400, size * block)) @ random.standard_normal((size * block, size * block))
    moments = x.T @ x / len(x)
    weights = random.standard_normal((size * block, 3))
    return Reader(np.arange(size * block).reshape(size, block), moments, weights, moments), weights


def loss(moments: np.ndarray, weights: np.ndarray, gone: list[int]) -> float:
    """Energy lost by the best linear take-over, straight from the normal equations."""
    keep = [i for i in range(len(moments)) if i not in gone]
    m = ridged(moments, Reader.ridge)
    left = m[np.ix_(gone, gone)] - m[np.ix_(gone, keep)] @ np.linalg.solve(
        m[np.ix_(keep, keep)], m[np.ix_(keep, gone)]
    )
    return float(np.trace(weights[gone].T @ left @ weights[gone]) / np.sum(moments * (weights @ weights.T)))


@pytest.mark.parametrize("block", [1, 2])
def test_cost_of_the_first_k_is_that_of_the_best_take_over(block):
    one, weights = reader(block=block)
    order, cost = elimination([one], 6)
    for k in range(1, 6):
        gone = [i for n in order[:k] for i in one.places[n]]
        assert cost[k] == pytest.approx(loss(one.moments, weights, gone), rel=1e-4)


def test_a_copy_costs_nothing_and_goes_first():
    one, weights = reader()
    mix = np.eye(6)
    mix[5] = mix[2]
    moments = mix @ one.moments @ mix.T
    order, cost = elimination([Reader(one.places, moments, weights, moments)], 6)
    assert order[0] in {2, 5}
    assert cost[1] < 10 * Reader.ridge


def test_without_compensation_a_neuron_costs_what_it_contributes():
    one, weights = reader()
    _, cost = elimination([one], 6, compensate=False)
    energies = np.diag(one.moments) * (weights**2).sum(1) / np.sum(one.moments * (weights @ weights.T))
    np.testing.assert_allclose(np.diff(cost), np.sort(energies), rtol=1e-9)


def test_costs_of_two_consumers_add_up():
    one, two = reader(0)[0], reader(1)[0]
    order, cost = elimination([one, two], 6)
    k = list(order[:3])
    expected = loss(one.moments, one.weights, k) + loss(two.moments, two.weights, k)
    assert cost[3] == pytest.approx(expected, rel=1e-4)


def test_neurons_that_go_together_are_chosen_as_one_after_the_other():
    random = np.random.default_rng(0)
    x = random.standard_normal((900, 300)) @ random.standard_normal((300, 300)) * random.random(300)
    x[:, 150:] = x[:, :150]  # each of them is spare, but not both of a pair
    moments = x.T @ x / len(x)
    weights = random.standard_normal((300, 8))
    order, cost = elimination([Reader(np.arange(300)[:, None], moments, weights, moments)], 300, depth=200)
    assert len(set(order[:150] % 150)) == 150
    assert cost[200] == pytest.approx(loss(moments, weights, list(order[:200])), rel=0.05)
