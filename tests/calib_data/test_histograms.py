"""The streaming histogram: exact merging, whatever the order of the batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sardonyx.calib_data.histograms import Histogram

ARRAYS = st.lists(
    st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=20), min_size=1, max_size=6
)


def filled(batches, bins=64):
    histogram = Histogram(bins)
    for batch in batches:
        histogram.update(np.asarray(batch, np.float64))
    return histogram


@settings(max_examples=60, deadline=None)
@given(ARRAYS)
def test_the_order_of_batches_does_not_matter(batches):
    forward, backward = filled(batches), filled(batches[::-1])
    np.testing.assert_array_equal(forward.counts, backward.counts)
    assert (forward.width, forward.zeros) == (backward.width, backward.zeros)


@settings(max_examples=60, deadline=None)
@given(ARRAYS)
def test_counts_are_those_of_numpy(batches):
    histogram = filled(batches)
    values = np.concatenate([np.asarray(b) for b in batches])
    expected, _ = np.histogram(values[values != 0.0], histogram.edges)
    np.testing.assert_array_equal(histogram.counts, expected)
    assert histogram.total == values.size
    assert (histogram.low, histogram.high) == (values.min(), values.max())


def test_the_range_doubles_and_keeps_every_count():
    histogram = filled([[0.5, -0.5], [100.0], [-1e4]])
    assert histogram.total == 4
    assert histogram.width * histogram.bins / 2 >= 1e4
    assert histogram.centres[np.flatnonzero(histogram.counts)[0]] == pytest.approx(-1e4, rel=0.1)


def test_zeros_are_counted_apart():
    histogram = filled([[0.0, 0.0, 1.0]])
    assert (histogram.zeros, histogram.counts.sum()) == (2, 1)


def test_only_zeros_leave_no_width():
    histogram = filled([np.zeros(5), []])
    assert (histogram.width, histogram.total, histogram.high) == (0.0, 5, 0.0)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_memory_does_not_grow(size):
    histogram = filled([np.linspace(-size, size, 1000), [size * 1000]], bins=4096)
    assert histogram.counts.nbytes <= histogram.memory_bytes((1, 1)) < 33_000


@pytest.mark.parametrize("bins", [0, 2, 6, -4])
def test_bins_are_checked(bins):
    with pytest.raises(ValueError, match="multiple of 4"):
        Histogram(bins)
