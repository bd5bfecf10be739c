"""Scales of least square error: never worse than the largest weight's, better where outliers are, in float32."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sardonyx.passes.quantization.parameters import quantize_weight, weight_bounds, weight_scales
from sardonyx.passes.quantization.weight_scaling import least_square_scales


def errors(weight, scale, axis, bounds, importance=1.0):
    written = quantize_weight(weight, scale, axis, 0, bounds)
    wrong = (written.restored().astype(np.float64) - weight) ** 2 * importance
    return wrong.sum(tuple(a for a in range(weight.ndim) if a != axis))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 1000),
    st.sampled_from([None, 0, 1]),
    st.sampled_from([4, 7, 8]),
    st.sampled_from(["full", "narrow"]),
)
def test_no_channel_gets_worse(seed, axis, bits, weight_range):
    random = np.random.default_rng(seed)
    weight = random.standard_t(3, (6, 5, 3, 3)).astype(np.float32)
    bounds = weight_bounds(bits, weight_range)
    largest, best = weight_scales(weight, axis, bounds)[0], least_square_scales(weight, axis, bounds)[0]
    assert best.shape == largest.shape
    assert (best <= largest).all()
    assert (errors(weight, best, axis, bounds) <= errors(weight, largest, axis, bounds)).all()


def test_an_outlier_is_clipped_where_that_pays():
    weight = np.random.default_rng(0).standard_normal((4, 40000)).astype(np.float32)
    weight[:, 0] = 7.0
    bounds = weight_bounds(7)
    largest, best = weight_scales(weight, 0, bounds)[0], least_square_scales(weight, 0, bounds)[0]
    assert (errors(weight, best, 0, bounds) < 0.8 * errors(weight, largest, 0, bounds)).all()


def test_importance_counts():
    weight = np.random.default_rng(0).standard_normal((1, 200)).astype(np.float32)
    heavy = np.ones((1, 200))
    heavy[0, 7] = 1e6
    bounds = weight_bounds(8)
    blind, seeing = (least_square_scales(weight, 0, importance=i)[0] for i in (None, heavy))
    assert errors(weight, seeing, 0, bounds, heavy) < errors(weight, blind, 0, bounds, heavy)


def test_channels_of_zeros_are_floored_as_ever():
    weight = np.array([[0.0, 0.0], [1.27, 0.0]], np.float32)
    scale, floored = least_square_scales(weight, 0)
    assert floored == 1
    assert scale.tolist() == pytest.approx([0.01, 0.01])
