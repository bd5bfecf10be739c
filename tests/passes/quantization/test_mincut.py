"""The choice of the integer side, against trying every choice."""

import itertools

import numpy as np
import pytest
from sardonyx.passes.quantization.mincut import Junction, integer_side


def cost(sides, gains, junctions):
    total = sum((max(0, g)) if not s else -min(g, 0) for s, g in zip(sides, gains, strict=True))
    for j in junctions:
        made = j.producer is not None and sides[j.producer]
        read = [c is not None and sides[c] for c in j.consumers]
        total += j.quantize_ns * (not made and any(read)) + j.dequantize_ns * (made and not all(read))
    return total


@pytest.mark.parametrize("seed", range(20))
def test_no_choice_is_cheaper(seed):
    rng = np.random.default_rng(seed)
    gains = rng.normal(size=7).round(3).tolist()
    junctions = [Junction(None, (0,), 0.4, 0.4)]
    for i in range(7):
        readers = tuple(int(c) for c in rng.choice(np.arange(i + 1, 9), min(2, 8 - i), replace=False))
        junctions.append(Junction(i, tuple(c if c < 7 else None for c in readers), *rng.random(2).round(3)))
    best = min(cost(s, gains, junctions) for s in itertools.product([False, True], repeat=7))
    assert cost(integer_side(gains, junctions), gains, junctions) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize(("loss", "expected"), [(1.0, True), (5.0, False)])
def test_a_losing_node_is_integer_where_it_spares_conversions(loss, expected):
    chain = [
        Junction(None, (0,), 2, 2),
        Junction(0, (1,), 2, 2),
        Junction(1, (2,), 2, 2),
        Junction(2, (None,), 2, 2),
    ]
    assert integer_side([10.0, -loss, 10.0], chain) == [True, expected, True]


def test_a_node_that_cannot_be_integer_is_not():
    assert integer_side([None, 5.0], [Junction(0, (1,), 1, 1)]) == [False, True]


def test_an_implication_is_kept():
    links = [Junction(0, (1,), 0, 0)]
    assert integer_side([-1.0, 9.0], links) == [False, True]
    assert integer_side([-1.0, 9.0], links, [(1, 0)]) == [True, True]
    assert integer_side([9.0, 9.0], links, [(1, None)]) == [True, False]
