"""Scales of least square error: never worse than the largest weight's, better where outliers are, in float32."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sardonyx.passes.quantization.parameters import quantize_weight, weight_scales
from sardonyx.passes.quantization.weight_scaling import least_square_scales


def errors(weight, scale, axis, style, importance=1.0):
    written = quantize_weight(weight, scale, axis, 0, **style)
    wrong = (written.restored().astype(np.float64) - weight) ** 2 * importance
    return wrong.sum(tuple(a for a in range(weight.ndim) if a != axis))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 1000),
    st.sampled_from([None, 0, 1]),
    st.booleans(),
    st.sampled_from(["full", "narrow"]),
)
def test_no_channel_gets_worse(seed, axis, reduced, weight_range):
    random = np.random.default_rng(seed)
    weight = random.standard_t(3, (6, 5, 3, 3)).astype(np.float32)
    style = {"reduce_range": reduced, "weight_range": weight_range}
    largest, best = weight_scales(weight, axis, **style)[0], least_square_scales(weight, axis, **style)[0]
    assert best.shape == largest.shape
    assert (best <= largest).all()
    assert (errors(weight, best, axis, style) <= errors(weight, largest, axis, style)).all()


def test_an_outlier_is_clipped_where_that_pays():
    weight = np.random.default_rng(0).standard_normal((4, 40000)).astype(np.float32)
    weight[:, 0] = 7.0
    style = {"reduce_range": True, "weight_range": "narrow"}
    largest, best = weight_scales(weight, 0, **style)[0], least_square_scales(weight, 0, **style)[0]
    assert (errors(weight, best, 0, style) < 0.8 * errors(weight, largest, 0, style)).all()


def test_importance_counts():
    weight = np.random.default_rng(0).standard_normal((1, 200)).astype(np.float32)
    heavy = np.ones((1, 200))
    heavy[0, 7] = 1e6
    style = {"reduce_range": False, "weight_range": "narrow"}
    blind, seeing = (least_square_scales(weight, 0, importance=i)[0] for i in (None, heavy))
    assert errors(weight, seeing, 0, style, heavy) < errors(weight, blind, 0, style, heavy)


def test_channels_of_zeros_are_floored_as_ever():
    weight = np.array([[0.0, 0.0], [1.27, 0.0]], np.float32)
    scale, floored = least_square_scales(weight, 0)
    assert floored == 1
    assert scale.tolist() == pytest.approx([0.01, 0.01])
