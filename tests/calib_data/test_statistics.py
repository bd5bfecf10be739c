"""What calibration keeps of a value: exact where it says so, and the same however the samples are cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sardonyx.calib_data.statistics import AVERAGING, HISTOGRAM_ELEMENTS, ValueObserver, step_for
from sardonyx.core import DataError

VALUES = np.random.default_rng(0).standard_normal((12, 5, 3, 2)).astype(np.float32)
SAMPLES = st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4), min_size=1, max_size=8)


def observed(values, size, **options):
    observer = ValueObserver("v", **options)
    for batch, start in enumerate(range(0, len(values), size)):
        part = values[start : start + size]
        observer.update(part, len(part), batch)
    return observer.statistics()


@pytest.mark.parametrize("size", [1, 5, 12])
@pytest.mark.parametrize("axis", [None, 1, 2, 3, -1])
def test_extremes_are_exact(size, axis):
    seen = observed(VALUES, size, axis=axis)
    assert (seen.low, seen.high, seen.samples, seen.elements) == (VALUES.min(), VALUES.max(), 12, VALUES.size)
    if axis is not None:
        others = tuple(a for a in range(4) if a != axis % 4)
        np.testing.assert_array_equal(seen.channel_low, VALUES.min(others))
        np.testing.assert_array_equal(seen.channel_amax, np.abs(VALUES).max(others))


def test_channels_along_the_first_axis():
    observer = ValueObserver("v", axis=0)
    for batch in range(2):
        observer.update(VALUES[batch], 5, batch)
    np.testing.assert_array_equal(observer.statistics().channel_high, VALUES[:2].max((0, 2, 3)))


@pytest.mark.parametrize("size", [1, 5, 12])
@pytest.mark.parametrize("axis", [None, 1])
def test_the_average_is_over_samples(size, axis):
    seen = observed(VALUES, size, axis=axis)
    weights = (1 - AVERAGING) ** np.arange(11, -1, -1)
    expected = [
        np.average(e.reshape(12, -1), axis=0, weights=weights)[0]
        for e in (VALUES.min((1, 2, 3)), VALUES.max((1, 2, 3)))
    ]
    assert (seen.average_low, seen.average_high) == pytest.approx(tuple(expected), rel=1e-6)


def test_a_value_without_samples_counts_once_for_each():
    observer = ValueObserver("v")
    for batch in range(3):
        observer.update(np.array([1.0, 4.0, 2.0], np.float32), 8, batch)
    seen = observer.statistics()
    assert (seen.average_low, seen.average_high, seen.samples) == (pytest.approx(1.0), pytest.approx(4.0), 24)


@settings(max_examples=60, deadline=None)
@given(SAMPLES, st.integers(1, 8))
def test_neither_order_nor_batches_matter(samples, size):
    values = np.array(samples, np.float32)
    one, other = observed(values, size), observed(values[::-1], 1, pending=3)
    np.testing.assert_array_equal(one.histogram.counts, other.histogram.counts)
    assert (one.histogram.width, one.histogram.zeros) == (other.histogram.width, other.histogram.zeros)
    assert (one.low, one.high) == (other.low, other.high) == (values.min(), values.max())
    assert one.histogram.total == values.size


@pytest.mark.parametrize("size", [1, 5, 12])
def test_a_part_does_not_depend_on_the_batches(size):
    seen = observed(VALUES, size, step=7, phase=3, pending=4)
    chosen = VALUES.reshape(-1)[3::7]
    expected, _ = np.histogram(chosen, seen.histogram.edges)
    np.testing.assert_array_equal(seen.histogram.counts, expected)
    assert (seen.low, seen.high, seen.step) == (VALUES.min(), VALUES.max(), 7)


@pytest.mark.parametrize(
    ("total", "sample"),
    [(1, 1), (1 << 20, 1 << 10), (1 << 21, 1 << 10), (10**9, 802_816), (3 * 10**7, 30_030)],
)
def test_steps_are_primes_beside_every_dimension(total, sample):
    step = step_for(total, sample)
    assert total / step <= HISTOGRAM_ELEMENTS
    assert step == 1 or (sample % step and all(step % d for d in range(2, step)))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_part_finds_shares_to_the_stated_error(share):
    values = np.random.default_rng(1).standard_normal((40, 3, 32, 32)).astype(np.float32)
    seen = observed(values, 8, step=13)
    bin_of = int(np.quantile(values, share) / seen.histogram.width) + seen.histogram.bins // 2
    edge = seen.histogram.edges[bin_of]
    found = (seen.histogram.counts[:bin_of].sum()) / seen.histogram.total
    count = seen.histogram.total
    assert abs(found - np.mean(values < edge)) < 4 * np.sqrt(share * (1 - share) / count)


@pytest.mark.parametrize("level", [0.0, -3.5])
def test_a_constant(level):
    seen = observed(np.full((6, 4), level, np.float32), 4)
    assert seen.constant
    assert (seen.low, seen.high, seen.average_low) == (level, level, pytest.approx(level))


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8])
def test_other_types(dtype):
    values = (VALUES * 10).astype(dtype)
    seen = observed(values, 5)
    assert (seen.low, seen.high) == (values.min(), values.max())


def test_empty_batches_are_passed_over():
    seen = ValueObserver("v")
    seen.update(np.zeros((2, 0), np.float32), 2, 0)
    seen.update(np.ones((2, 1), np.float32), 2, 1)
    assert (seen.statistics().low, seen.statistics().average_low, seen.samples) == (
        1.0,
        pytest.approx(1.0),
        4,
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [None, 1])
def test_a_batch_that_is_not_finite(bad, axis):
    values = VALUES.copy()
    values[7, 2, 1, 1] = bad
    with pytest.raises(DataError, match="batch 1: v holds NaN or infinity"):
        observed(values, 5, axis=axis)


def test_a_value_that_is_always_empty():
    with pytest.raises(DataError, match="v is empty on every sample"):
        observed(np.zeros((4, 0), np.float32), 2)


def test_memory_is_bounded():
    seen = ValueObserver("v", axis=1, pending=100)
    before = seen.memory_bytes((1, 5, 3, 2))
    for batch in range(50):
        seen.update(VALUES, 12, batch)
        assert sum(part.size for part in seen._waiting) <= 100
    assert seen.memory_bytes((1, 5, 3, 2)) == before < 40_000
