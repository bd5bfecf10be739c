"""Widths under a budget."""

from __future__ import annotations

import numpy as np
import pytest
from sardonyx.passes.coupling import analyze
from sardonyx.passes.pruning.allocation import allocate_global, allocate_local, allowed_widths, same_share
from sardonyx.passes.pruning.costing import macs_model, params_model
from sardonyx.passes.pruning.criteria import Curve


@pytest.mark.parametrize(
    ("size", "multiple", "expected"),
    [
        (64, 16, [64, 48, 32, 16]),
        (40, 16, [40, 32, 16]),
        (24, 16, [24, 16, 8]),
        (10, 16, [10, 8, 4]),
        (3, 1, [3, 2, 1]),
    ],
)
def test_widths_are_multiples_that_fit_the_group(size, multiple, expected):
    assert allowed_widths(size, multiple, 1) == expected


def test_a_minimum_width_is_kept():
    assert allowed_widths(64, 16, 32) == [64, 48, 32]


@pytest.fixture
def costs(net):
    n = net()
    model = n.model(n.head(n.relu(n.conv(n.relu(n.conv(n.x, 16)), 32))))
    coupling = analyze(model)
    return model, params_model(coupling, coupling.groups), macs_model(model, coupling, coupling.groups, None)


def test_parameters_at_any_width_are_counted_exactly(costs):
    _, params, _ = costs
    sizes = {16: 0, 32: 1} if params.full[0] == 16 else {32: 0, 16: 1}
    widths = np.zeros(2, dtype=np.int64)
    widths[sizes[16]], widths[sizes[32]] = 4, 8
    assert params.total(widths) == (4 * 3 * 9 + 4) + (8 * 4 * 9 + 8) + (5 * 8 + 5)


def test_macs_at_full_width_are_those_of_the_graph(costs):
    _, _, macs = costs
    assert macs.total(macs.full) == 64 * (16 * 27 + 32 * 144) + 32 * 5


def curve(size: int, price: float) -> Curve:
    return Curve(np.arange(size), np.concatenate([[0.0], np.cumsum(np.linspace(price, 2 * price, size))]))


def test_global_cuts_the_group_that_costs_least_for_what_it_saves(costs):
    _, params, _ = costs
    options = [allowed_widths(int(size), 8, 1) for size in params.full]
    cheap = [curve(int(s), 1e-6 if s == 32 else 1.0) for s in params.full]
    widths = allocate_global(cheap, params, 0.7 * params.total(params.full), options)
    assert params.total(widths) <= 0.7 * params.total(params.full)
    assert widths[list(params.full).index(16)] == 16


def test_local_cuts_all_alike(costs):
    _, params, _ = costs
    options = [allowed_widths(int(size), 1, 1) for size in params.full]
    widths = allocate_local(params, 0.3 * params.total(params.full), options)
    assert params.total(widths) <= 0.3 * params.total(params.full)
    assert np.ptp(widths / params.full) < 0.1


def test_same_share_takes_the_nearest_allowed_width():
    assert same_share(0.5, [[64, 48, 32, 16], [24, 16, 8]]).tolist() == [32, 8]
