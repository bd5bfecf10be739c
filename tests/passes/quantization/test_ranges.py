"""Ranges of known distributions."""

import numpy as np
import pytest
from sardonyx.calib_data.histograms import Histogram
from sardonyx.passes.quantization.ranges import choose_range, quantile

RNG = np.random.default_rng(0)
NORMAL = RNG.standard_normal(400_000)


def seen(values):
    histogram = Histogram()
    for part in np.array_split(np.asarray(values, np.float64), 5):
        histogram.update(part)
    return histogram


@pytest.mark.parametrize("share", [0.001, 0.25, 0.5, 0.9, 0.9999])
def test_quantiles_are_those_of_numpy(share):
    assert quantile(seen(NORMAL), share) == pytest.approx(np.quantile(NORMAL, share), abs=2e-2)


@pytest.mark.parametrize("percentile", [99.0, 99.9, 99.99])
def test_percentile_cuts_both_tails(percentile):
    low, high = choose_range(seen(NORMAL), "percentile", percentile=percentile)
    expected = np.quantile(NORMAL, [(100 - percentile) / 200, (100 + percentile) / 200])
    assert (low, high) == pytest.approx(tuple(expected), abs=5e-3)


def test_symmetric_percentile_is_of_magnitudes():
    low, high = choose_range(seen(NORMAL), "percentile", percentile=99.0, symmetric=True)
    assert high == -low == pytest.approx(np.quantile(np.abs(NORMAL), 0.99), abs=5e-3)


def test_zeros_count_in_percentiles():
    values = np.concatenate([np.zeros(900), np.linspace(1, 2, 100)])
    assert choose_range(seen(values), "percentile", percentile=70.0)[1] == pytest.approx(0.0, abs=1e-9)


def test_minmax_is_exact_and_holds_zero():
    assert choose_range(seen([0.25, 3.0]), "minmax") == (0.0, 3.0)
    assert choose_range(seen([-3.0, -0.25]), "minmax") == (-3.0, 0.0)


@pytest.mark.parametrize("method", ["percentile", "entropy", "mse"])
@pytest.mark.parametrize(
    "values", [NORMAL, np.abs(NORMAL), -np.abs(NORMAL)], ids=["both", "positive", "negative"]
)
def test_ranges_hold_zero_and_what_was_seen_holds_them(method, values):
    low, high = choose_range(seen(values), method)
    assert min(values.min(), 0.0) <= low <= 0.0 <= high <= max(values.max(), 0.0)
    assert high - low > 0


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_an_outlier_is_clipped(method):
    values = np.append(NORMAL, 1000.0)
    assert choose_range(seen(values), method)[1] < 100.0


def test_least_squares_beats_the_whole_range():
    values = RNG.laplace(size=200_000)
    low, high = choose_range(seen(values), "mse", levels=15)
    errors = []
    for first, last in ((low, high), (values.min(), values.max())):
        step = (last - first) / 15
        errors.append(np.mean((np.clip(np.rint(values / step) * step, first, last) - values) ** 2))
    assert errors[0] < 0.5 * errors[1]


def test_uniform_values_are_not_clipped_by_mse():
    low, high = choose_range(seen(RNG.uniform(-1, 1, 100_000)), "mse")
    assert (low, high) == pytest.approx((-1, 1), abs=0.03)


def test_constant_zero_has_an_empty_range():
    assert choose_range(seen(np.zeros(10)), "entropy") == (0.0, 0.0)
