"""Mixed precision: the blocks that cost most stay in float32, by measurement."""

import numpy as np
import pytest
from sardonyx.core.errors import ExpectationError, UsageError
from sardonyx.passes.output_error import relative_error
from sardonyx.passes.precision import MixedOptions, to_mixed_float16

# Squares of 300 and more overflow in float16, and so does their sum.
FRAGILE = """g (float[N,8] x) => (float[N,4] y) {
    h = MatMul(x, w)  k = Relu(h)  s = Mul(k, c)  q = Mul(s, s)  r = Sqrt(q)  t = Div(r, c)  y = MatMul(t, v)
}"""


@pytest.fixture
def fragile(network, normal):
    """A network that overflows in the middle."""
    return network(FRAGILE, {"w": normal(8, 16), "v": normal(16, 4, seed=1), "c": np.float32(1000)})


@pytest.fixture
def data(samples, normal):
    """Samples for it."""
    return samples(x=normal(32, 8, scale=1.0))


def test_what_overflows_stays_in_float32(fragile, data):
    result = to_mixed_float16(fragile, data)
    report = result.report
    kept = {name for block in report.blocks if block.is_float32 for name in block.nodes}
    assert report.float16_error == np.inf
    assert report.error <= report.max_error == 1e-2
    assert "Mul_3" in kept
    assert not {"MatMul_0", "Relu_1", "MatMul_6"} & kept
    assert {s.node for s in report.skipped if s.code == "measured"} == kept
    assert report.blocks[0].error >= report.blocks[-1].error
    assert report.samples == 16


def test_nothing_is_kept_where_float16_is_near_enough(network, normal, data):
    model = network("g (float[N,8] x) => (float[N,4] y) { y = MatMul(x, w) }", {"w": normal(8, 4)})
    report = to_mixed_float16(model, data).report
    assert report.blocks == []
    assert 0 < report.error == report.float16_error < 1e-3


def test_a_smaller_error_keeps_more(fragile, data):
    kept = [
        sum(b.is_float32 for b in to_mixed_float16(fragile, data, MixedOptions(max_error=e)).report.blocks)
        for e in (1e-2, 3e-4)
    ]
    assert kept[0] <= kept[1]


def test_blocks_are_bounded(fragile, data):
    seen = []
    options = MixedOptions(most_blocks=3)
    report = to_mixed_float16(fragile, data, options, progress=lambda d, t: seen.append((d, t))).report
    assert len(report.blocks) == 3
    assert seen[-1] == (3, 3)


def test_an_error_that_cannot_be_met(fragile, data):
    with pytest.raises(ExpectationError, match="outputs differ by"):
        to_mixed_float16(fragile, data, MixedOptions(max_error=1e-9))


@pytest.mark.parametrize(
    "wrong", [{"max_error": 0.0}, {"samples": 0}, {"most_blocks": 0}, {"max_error": np.nan}]
)
def test_options_are_checked(wrong):
    with pytest.raises(UsageError):
        MixedOptions(**wrong)


@pytest.mark.parametrize(
    ("exact", "other", "error"),
    [
        ([3.0, 4.0], [3.0, 4.5], 0.1),
        ([3.0, 4.0], [np.nan, 4.0], np.inf),
        ([np.inf, 4.0], [np.inf, 4.0], 0.0),
        ([0.0], [0.0], 0.0),
        ([0.0], [1.0], np.inf),
    ],
)
def test_relative_errors(exact, other, error):
    assert relative_error(np.array(exact), np.array(other)) == pytest.approx(error)


def test_integers_count_by_difference():
    assert relative_error(np.array([1, 2, 3, 4]), np.array([1, 2, 0, 0])) == 0.5
