"""Regression of what goes on what stays."""

import numpy as np
import pytest
from sardonyx.passes.pruning.shrinkage import predict


@pytest.mark.parametrize("ridge", [0.0, 1e-18])
def test_moments_that_rounding_left_indefinite_are_regressed_under_a_larger_ridge(ridge):
    inputs = (
        np.random.default_rng(0).normal(size=(64, 2)) @ np.random.default_rng(1).normal(size=(2, 8)) * 1e3
    )
    moments = inputs.T @ inputs - np.eye(8) * 1e-6  # of rank two, and a little below zero
    keep = np.arange(8) < 6
    found = predict(moments, keep, ridge)
    np.testing.assert_allclose(inputs[:, keep] @ found, inputs[:, ~keep], atol=1e-3)


def test_moments_that_are_not_finite_are_no_moments():
    with pytest.raises(ValueError, match=r"NaN|infs"):
        predict(np.full((4, 4), np.nan), np.arange(4) < 3, 1e-6)
