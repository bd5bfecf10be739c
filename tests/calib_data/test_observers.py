from __future__ import annotations

import numpy as np
import pytest
from sardonyx.calib_data import Gram, MinMax, Moments

VALUES = np.random.default_rng(0).standard_normal((12, 5, 3, 2)).astype(np.float32) + 0.5
SIZES = [1, 5, 12]


def _feed(observer, size, values=VALUES):
    for start in range(0, len(values), size):
        observer.update(values[start : start + size])
    return observer


def _rows(axis):
    return np.moveaxis(VALUES, axis, -1).reshape(-1, VALUES.shape[axis]).astype(np.float64)


@pytest.mark.parametrize("size", SIZES)
def test_min_max(size):
    seen = _feed(MinMax(), size)
    assert (seen.low, seen.high) == (VALUES.min(), VALUES.max())
    seen.update(np.zeros((0, 5)))
    assert seen.low == VALUES.min()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("axis", [1, -1])
def test_moments(size, axis):
    seen, rows = _feed(Moments(axis), size), _rows(axis)
    assert np.allclose(seen.mean, rows.mean(0), rtol=1e-12)
    assert np.allclose(seen.variance, rows.var(0), rtol=1e-9)
    assert np.allclose(seen.mean_absolute, np.abs(rows).mean(0), rtol=1e-12)
    assert np.allclose(seen.zero_share, (rows <= 0).mean(0), rtol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("axis", [1, 2, -1])
def test_gram(size, axis):
    seen, rows = _feed(Gram(axis), size), _rows(axis)
    assert seen.count == len(rows)
    assert np.allclose(seen.second_moment, rows.T @ rows / len(rows), rtol=1e-5, atol=1e-6)
    assert np.allclose(seen.mean, rows.mean(0), rtol=1e-6)
    assert np.allclose(seen.covariance, np.cov(rows.T, bias=True), rtol=1e-4, atol=1e-5)


def test_gram_takes_a_seeded_choice_of_many_rows():
    first, again, other = (_feed(Gram(1, rows=8, seed=seed), 6).second_moment for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert _feed(Gram(1, rows=8), 6).count == 16


@pytest.mark.parametrize(("observer", "size"), [(MinMax(), 16), (Moments(1), 160), (Gram(1), 200)])
def test_memory_does_not_grow_with_the_samples(observer, size):
    assert observer.memory_bytes(VALUES.shape) == size


@pytest.mark.parametrize("what", ["mean", "variance", "zero_share"])
def test_moments_of_nothing(what):
    with pytest.raises(ValueError, match="no batch"):
        getattr(Moments(), what)


@pytest.mark.parametrize("what", ["mean", "second_moment", "covariance"])
def test_gram_of_nothing(what):
    with pytest.raises(ValueError, match="no batch"):
        getattr(Gram(), what)
