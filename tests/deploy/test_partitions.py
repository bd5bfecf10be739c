"""Partitions: sets that run in one go, without a way out and back in."""

from __future__ import annotations

import pytest
from sardonyx.deploy.partitions import followers_of, partitions_of
from sardonyx.deploy.qdq_units import Unit, find_units
from usability_graphs import Graph

YES, NO = "Relu", "Erf"


def names(units: list[Unit], groups) -> list[str]:
    return [" ".join(units[i].target.name for i in group) for group in groups]


def divided(graph: Graph, *outputs) -> list[str]:
    model = graph.model(*outputs)
    units = [Unit(node) for node in model.graph]
    return names(units, partitions_of(units, [unit.target.op_type != NO for unit in units]))


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ((YES, YES, YES), ["n0 n1 n2"]),
        ((YES, NO, YES), ["n0", "n2"]),
        ((NO, YES, YES, NO), ["n1 n2"]),
        ((YES, NO, NO, YES), ["n0", "n3"]),
        ((NO, NO), []),
    ],
)
def test_a_chain(kinds, expected) -> None:
    g = Graph()
    x = g.x
    for kind in kinds:
        x = g.op(kind, x)
    assert divided(g, x) == expected


def test_a_diamond_is_not_closed_over_a_node_of_the_cpu() -> None:
    """n0 to n3 directly and through n2: together they would wait for n2, which waits for n0."""
    g = Graph()
    a = g.op(YES, g.x)
    left, right = g.op(YES, a), g.op(NO, a)
    assert divided(g, g.op("Add", left, right)) == ["n0 n1", "n3"]


def test_a_diamond_of_supported_nodes_is_one() -> None:
    g = Graph()
    a = g.op(YES, g.x)
    assert divided(g, g.op("Add", g.op(YES, a), g.op("Tanh", a))) == ["n0 n1 n2 n3"]


def test_what_is_not_connected_may_run_together() -> None:
    """Both branches begin before either meets the CPU, and end after both have."""
    g = Graph()
    outputs = [g.op(YES, g.op(NO, g.op(YES, g.x))) for _ in range(2)]
    assert divided(g, *outputs) == ["n0 n3", "n2 n5"]


def test_a_node_of_the_cpu_that_reads_nothing_of_the_wave_does_not_end_it() -> None:
    g = Graph()
    side = g.op(NO, g.x)
    assert divided(g, g.op("Add", g.op(YES, g.x), side)) == ["n1 n2"]


def test_a_group_counts_as_one() -> None:
    g = Graph()
    model = g.model(g.qdq(g.op("Sigmoid", g.qdq(g.x))))
    units = list(find_units(model.graph, {"": 17}))
    assert len(units) == 3
    assert partitions_of(units, [True] * 3) == ((0, 1, 2),)
    assert followers_of(units) == [{1}, {2}, set()]


def test_as_many_answers_as_units_are_needed() -> None:
    g = Graph()
    units = [Unit(node) for node in g.model(g.op(YES, g.op(YES, g.x))).graph]
    with pytest.raises(IndexError):
        partitions_of(units, [True])
