"""Scales, zero-points, weights and biases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sardonyx.core.errors import ModelError
from sardonyx.passes.quantization.parameters import (
    BIAS_LIMIT,
    BOUNDS,
    SCALE_FLOOR,
    activation_parameters,
    fit_bias,
    quantize_bias,
    quantize_weight,
    weight_bounds,
    weight_scales,
    within,
)

FINITE = st.floats(-1e30, 1e30)


def roundtrip(x, p):
    first, last = BOUNDS[p.int_type]
    return (np.clip(np.rint(x / p.scale) + p.zero_point, first, last) - p.zero_point) * p.scale


@pytest.mark.parametrize(
    ("low", "high", "kind", "symmetric", "scale", "zero"),
    [
        (0.0, 2.55, "uint8", False, 0.01, 0),
        (-1.0, 1.55, "uint8", False, 0.01, 100),
        (0.5, 2.55, "uint8", False, 0.01, 0),
        (-2.55, 0.0, "uint8", False, 0.01, 255),
        (0.0, 2.55, "int8", False, 0.01, -128),
        (-1.0, 0.5, "uint8", True, 2 / 255, 128),
        (-1.27, 1.0, "int8", True, 0.01, 0),
        (0.0, 6.5535, "uint16", False, 0.0001, 0),
    ],
)
def test_known_parameters(low, high, kind, symmetric, scale, zero):
    p = activation_parameters(low, high, kind, symmetric=symmetric)
    assert p.scale == pytest.approx(scale, rel=1e-6)
    assert p.zero_point == zero


@settings(max_examples=200, deadline=None)
@given(FINITE, FINITE, st.sampled_from(list(BOUNDS)), st.booleans())
def test_no_scale_is_ever_unusable(one, other, kind, symmetric):
    p = activation_parameters(min(one, other), max(one, other), kind, symmetric=symmetric)
    assert np.isfinite(np.float32(p.scale))
    assert np.float32(p.scale) > 0
    assert BOUNDS[kind][0] <= p.zero_point <= BOUNDS[kind][1]


@settings(max_examples=100, deadline=None)
@given(st.floats(-1e3, 0), st.floats(1e-2, 1e3), st.sampled_from(["uint8", "int8"]), st.booleans())
def test_the_error_is_half_a_step_inside_the_range(low, high, kind, symmetric):
    p = activation_parameters(low, high, kind, symmetric=symmetric)
    x = np.linspace(max(low, p.low), min(high, p.high), 501)
    assert np.abs(roundtrip(x, p) - x).max() <= p.scale * 0.5001
    assert roundtrip(np.zeros(1), p) == 0.0


@pytest.mark.parametrize("range_", [(0.0, 0.0), (-1e-20, 1e-18)])
def test_an_empty_range_becomes_the_unit_range(range_):
    p = activation_parameters(*range_, "uint8", symmetric=False)
    assert p.constant
    assert p.high == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_range_that_is_not_finite_is_refused(bad):
    with pytest.raises(ModelError, match="not finite"):
        activation_parameters(-1.0, bad, "uint8", symmetric=False)


@pytest.mark.parametrize("limit", [6.0, 1.0, 0.1, 5.999])
def test_a_clip_is_never_exceeded(limit):
    p = within(activation_parameters(0.0, limit, "uint8", symmetric=False), limit)
    assert np.float32(255) * np.float32(p.scale) <= np.float32(limit)
    assert p.scale == pytest.approx(limit / 255, rel=1e-6)


@pytest.mark.parametrize(
    ("bits", "style", "expected"),
    [
        (8, "narrow", 2 / 127),
        (8, "full", 2 / 128),
        (7, "narrow", 2 / 63),
        (4, "narrow", 2 / 7),
        (4, "full", 2 / 8),
    ],
)
def test_weight_scales(bits, style, expected):
    scale, floored = weight_scales(np.array([[-2.0, 1.0], [0.0, 0.5]]), 0, weight_bounds(bits, style))
    assert scale[0] == pytest.approx(expected)
    assert floored == 0


def test_weights_are_rounded_and_keep_their_range():
    weight = np.random.default_rng(0).standard_normal((8, 5, 3, 3)).astype(np.float32)
    scale, floored = weight_scales(weight, 0)
    q = quantize_weight(weight, scale, 0, floored)
    assert np.abs(q.values).max(axis=(1, 2, 3)).tolist() == [127] * 8
    restored = q.values * q.scale.reshape(-1, 1, 1, 1)
    assert (np.abs(restored - weight) <= q.scale.reshape(-1, 1, 1, 1) * 0.501).all()


def test_a_channel_of_zeros_gets_the_largest_scale():
    scale, floored = weight_scales(np.array([[0.0, 0.0], [1.27, 0.0]]), 0)
    assert floored == 1
    assert scale.tolist() == pytest.approx([0.01, 0.01])


def test_a_weight_of_zeros_has_a_scale():
    scale, floored = weight_scales(np.zeros((2, 3)), 0)
    assert floored == 2
    assert (scale >= SCALE_FLOOR).all()


def test_bias_scale_is_the_product():
    values, scale = quantize_bias(np.array([1.0, -0.5]), 0.1, np.array([0.01, 0.02], np.float32))
    assert scale.tolist() == pytest.approx([0.001, 0.002])
    assert values.tolist() == [1000, -250]


def test_a_bias_that_would_overflow_enlarges_the_scale():
    bias = np.array([1e6, 0.0])
    scale = fit_bias(np.array([1e-9, 1e-9]), bias, 1e-3)
    values, steps = quantize_bias(bias, 1e-3, scale.astype(np.float32))
    assert scale[1] == 1e-9
    assert abs(int(values[0])) < BIAS_LIMIT
    assert values[0] * float(steps[0]) == pytest.approx(1e6, rel=1e-6)
