"""Widths under a budget."""

from __future__ import annotations

import numpy as np
import pytest
from sardonyx.core.errors import UsageError
from sardonyx.core.targets import get_target
from sardonyx.passes.coupling import analyze
from sardonyx.passes.pruning import NodeTimes, PruneOptions, TimeTable, node_work, prune
from sardonyx.passes.pruning.allocation import (
    allocate_global,
    allocate_isomorphic,
    allocate_local,
    allowed_widths,
    same_share,
)
from sardonyx.passes.pruning.costing import bytes_model, macs_model, params_model, time_model
from sardonyx.passes.pruning.criteria import Curve
from sardonyx.passes.pruning.kinds import kind_of


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


def test_a_kind_is_cut_by_one_share_and_the_cheapest_of_it_goes_first():
    sizes = [8, 8, 16]
    curves = [
        Curve(np.arange(n), np.linspace(0, scale, n + 1)) for n, scale in zip(sizes, [1, 100, 1], strict=True)
    ]
    costs = Linear(sizes)
    widths = [list(range(n, 0, -1)) for n in sizes]
    found = allocate_isomorphic(curves, ["a", "a", "b"], costs, 16, widths)
    assert costs.total(found) <= 16
    assert found[0] < found[1]  # of one kind, and a hundred times cheaper
    assert found[:2].sum() == found[2] == 8


class Linear:
    """A graph in which every neuron costs the same."""

    def __init__(self, sizes):
        self.full = np.asarray(sizes)

    def total(self, widths):
        return float(np.sum(widths))

    def saving(self, widths, group, width):
        return float(widths[group] - width)


def test_kinds_are_places_in_a_pattern(net):
    n = net()
    a = n.relu(n.conv(n.x, 16))
    for _ in range(2):
        a = n.relu(n.add(a, n.conv(n.relu(n.conv(a, 24)), 16)))
    groups = analyze(n.model(n.head(a))).groups
    kinds = {g.name: kind_of(g) for g in groups}
    inner = [kind for g, kind in zip(groups, kinds.values(), strict=True) if g.size == 24]
    (stage,) = [kind for g, kind in zip(groups, kinds.values(), strict=True) if g.size == 16]
    assert inner[0] == inner[1] != stage


def test_bytes_count_the_types_of_the_weights(net):
    n = net()
    model = n.model(n.head(n.relu(n.conv(n.x, 16))))
    coupling = analyze(model)
    costs, params = bytes_model(model, coupling, coupling.groups), params_model(coupling, coupling.groups)
    half = costs.full // 2
    assert costs.total(costs.full) - costs.total(half) == 4 * (params.total(params.full) - params.total(half))


def test_time_is_read_off_between_what_was_measured(net):
    n = net()
    model = n.model(n.head(n.relu(n.conv(n.relu(n.conv(n.x, 16)), 32))))
    coupling = analyze(model)
    work = node_work(model, None)
    second = list(model.graph)[2].name
    table = TimeTable({second: NodeTimes((work[second] / 4, work[second]), (1.0, 5.0))}, rest_ms=0.5)
    costs = time_model(model, coupling, coupling.groups, None, table)
    assert costs.total(costs.full) == pytest.approx(5.5)
    assert costs.total(costs.full // 2) == pytest.approx(1.5)  # both of its axes: a quarter of the work
    assert costs.total(np.maximum(costs.full // 8, 1)) == pytest.approx(1.5)  # below, the nearest


def test_a_budget_of_time_without_times_is_refused(net):
    n = net()
    model = n.model(n.head(n.relu(n.conv(n.x, 16))))
    options = PruneOptions(time=0.5, criterion="magnitude", compensate=False)
    with pytest.raises(UsageError, match="measured times"):
        prune(model, None, options, target=get_target("cpu-x86"))
