"""Rounding: never worse than nearest under the Gram, much better where inputs go together, zeros stay zeros."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sardonyx.passes.quantization.rounding import round_rows, row_errors

BOUNDS = (-127, 127)


def problem(seed, groups=1, rows=6, inputs=20, samples=200, rank=None):
    random = np.random.default_rng(seed)
    mixed = random.standard_normal((groups, samples, rank or inputs))
    x = mixed @ random.standard_normal((groups, rank or inputs, inputs))
    weights = random.standard_normal((groups, rows, inputs))
    return weights, np.abs(weights).max(2) / 127, x.transpose(0, 2, 1) @ x / samples


def nearest(weights, scale, bounds=BOUNDS):
    return np.clip(np.rint(weights / scale[:, :, None]), *bounds)


def errors(weights, scale, integers, gram):
    return row_errors(weights - integers * scale[:, :, None], gram)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([3, 60, None]), st.sampled_from([7, 127]))
def test_no_row_gets_worse(seed, groups, rank, top):
    weights, scale, gram = problem(seed, groups, rank=rank)
    scale, bounds = scale * 127 / top * 0.9, (-top, top)
    found = round_rows(weights, scale, gram, bounds)
    assert found.dtype == np.int8
    assert np.abs(found.astype(int)).max() <= top
    best, plain = (errors(weights, scale, q, gram) for q in (found, nearest(weights, scale, bounds)))
    assert (best <= plain * (1 + 1e-9)).all()


@pytest.mark.parametrize("inputs", [40, 300])
def test_inputs_that_go_together_make_up_for_one_another(inputs):
    weights, scale, gram = problem(1, inputs=inputs, rank=inputs // 4)
    found = round_rows(weights, scale, gram, BOUNDS)
    ratio = (
        errors(weights, scale, found, gram).sum()
        / errors(weights, scale, nearest(weights, scale), gram).sum()
    )
    assert ratio < 0.35


def test_each_sweep_helps_or_leaves_it():
    weights, scale, gram = problem(2, inputs=64, rank=32)
    costs = [
        errors(weights, scale, round_rows(weights, scale, gram, BOUNDS, sweeps=s), gram).sum()
        for s in (0, 1, 3)
    ]
    assert costs[0] >= costs[1] >= costs[2]


def test_zeros_stay_zeros():
    weights, scale, gram = problem(3, inputs=50, rank=10)
    weights[np.random.default_rng(0).random(weights.shape) < 0.5] = 0.0
    assert not round_rows(weights, scale, gram, BOUNDS)[weights == 0.0].any()


def test_inputs_that_are_independent_or_never_fire_are_rounded_to_nearest():
    weights, scale, _ = problem(4, groups=2)
    gram = np.stack([np.eye(20), np.zeros((20, 20))])
    np.testing.assert_array_equal(round_rows(weights, scale, gram, BOUNDS), nearest(weights, scale))
