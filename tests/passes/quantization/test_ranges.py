"""Ranges of known distributions."""

import numpy as np
import pytest
from sardonyx.calib_data.statistics import ValueObserver
from sardonyx.passes.quantization.options import METHODS
from sardonyx.passes.quantization.ranges import choose_range, divergences, quantile, without_spikes

RNG = np.random.default_rng(0)
NORMAL = RNG.standard_normal(400_000)


def seen(values):
    observer = ValueObserver("v")
    for batch, part in enumerate(np.array_split(np.asarray(values, np.float64), 5)):
        observer.update(part, 1, batch)
    return observer.statistics()


@pytest.mark.parametrize("share", [0.001, 0.25, 0.5, 0.9, 0.9999])
def test_quantiles_are_those_of_numpy(share):
    assert quantile(seen(NORMAL).histogram, share) == pytest.approx(np.quantile(NORMAL, share), abs=2e-2)


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


def test_moving_average_is_within_what_was_seen():
    low, high = choose_range(seen(NORMAL), "moving-average")
    assert NORMAL.min() < low < -4.0
    assert 4.0 < high < NORMAL.max()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("level", [2.5, -2.5, 1e-30])
def test_a_constant_keeps_its_value(method, level):
    found = choose_range(seen(np.full(50, level)), method)
    assert found == pytest.approx((min(level, 0.0), max(level, 0.0)), rel=1e-2)


def divergence(counts, width, steps):
    """The divergence written out: P clipped into its last bin, Q one level for all bins of a step that are not empty."""
    p, kept = counts[:width].astype(float), counts[:width] > 0
    p[-1] += counts[width:].sum()
    step = np.arange(width) * steps // width
    q = np.array(
        [counts[:width][(step == s) & kept].mean() if k else 0.0 for s, k in zip(step, kept, strict=True)]
    )
    p, q = (np.where(d > 0, d, 1e-4) for d in (p, q))
    p, q = p / p.sum(), q / q.sum()
    return np.sum(p * np.log(p / q))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_divergences_are_those_of_the_definition(share):
    counts = RNG.poisson(np.linspace(30, 0.5, 200)) * (RNG.random(200) >= share)
    counts[-1] = 1
    widths = np.array([16, 17, 40, 150, 199, 200])
    expected = [divergence(counts, width, 16) for width in widths]
    above = np.array([counts[width:].sum() for width in widths], float)
    assert divergences(counts.astype(float), above, widths, 16) == pytest.approx(
        expected, rel=1e-9, abs=1e-12
    )


KNOWN = {
    "normal": NORMAL,
    "positive": np.abs(NORMAL),
    "exponential": RNG.exponential(size=400_000),
    "laplace": RNG.laplace(size=400_000),
    "uniform": RNG.uniform(-1, 1, 400_000),
}
known = pytest.mark.parametrize("values", KNOWN.values(), ids=KNOWN)


def entropy_threshold(values):
    return choose_range(seen(values), "entropy")[1]


@known
def test_entropy_of_a_known_distribution_is_that_of_the_definition(values):
    statistics, steps = seen(values), 255 if values.min() >= 0 else 128
    low, high = np.split(statistics.histogram.counts, 2)
    counts = np.trim_zeros(low[::-1] + high, "b")
    found = round(choose_range(statistics, "entropy")[1] / statistics.histogram.width)
    tried = np.linspace(steps, len(counts), 15).astype(int)
    least = min(divergence(counts, width, steps) for width in tried)
    assert divergence(counts, min(found, len(counts)), steps) <= 1.05 * least


@known
def test_entropy_clips_little_of_a_known_distribution(values):
    assert np.mean(values > entropy_threshold(values)) < 1e-4


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_zeros_do_not_move_the_entropy_threshold(share):
    values = np.abs(NORMAL[:50_000])
    zeros = np.zeros(int(len(values) * share / (1 - share)))
    assert entropy_threshold(np.concatenate([zeros, values])) == entropy_threshold(values)


@known
@pytest.mark.parametrize("spike", [0.1, 0.3])
def test_a_spike_does_not_narrow_the_entropy_threshold(values, spike):
    background = np.concatenate([values, np.full(len(values), spike)])
    assert entropy_threshold(background) > 0.75 * entropy_threshold(values)


@known
def test_what_piles_up_at_the_end_is_not_clipped(values):
    piled = np.concatenate([values[:300_000], np.full(100_000, values.max())])
    assert entropy_threshold(piled) == pytest.approx(values.max())


def test_a_spike_alone_is_lowered():
    counts = np.full(400, 100.0)
    counts[[7, 200]], counts[300:399] = 1e6, 0.0
    found = without_spikes(counts)
    assert (found[7], found[200], found[399]) == (150.0, 150.0, 1.0)
    assert np.flatnonzero(found != counts).tolist() == [7, 200, 399]


@pytest.mark.parametrize("symmetric", [False, True])
def test_least_squares_finds_what_a_search_finds(symmetric):
    values = np.append(RNG.standard_normal(20_000), [9.0, -5.0])
    low, high = choose_range(seen(values), "mse", levels=31, symmetric=symmetric)

    def error(first, last):
        step = (last - first) / 31
        outside = np.maximum(values - last, 0) + np.maximum(first - values, 0)
        return np.sum(outside**2 + np.where(outside > 0, 0, step**2 / 12))

    shares = np.linspace(0.1, 1.0, 19)
    tried = (
        [(-9 * s, 9 * s) for s in shares] if symmetric else [(-5 * s, 9 * t) for s in shares for t in shares]
    )
    assert error(low, high) <= min(error(*ends) for ends in tried) * 1.001


def test_an_unknown_method():
    with pytest.raises(KeyError):
        choose_range(seen(NORMAL), "widest")


def test_constant_zero_has_an_empty_range():
    assert choose_range(seen(np.zeros(10)), "entropy") == (0.0, 0.0)
