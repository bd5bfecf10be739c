from __future__ import annotations

import pytest
from sardonyx.core.errors import ProviderError
from sardonyx.runtime.placement import NodeTime, check_placement, parse_profile, place
from sardonyx.runtime.providers import CPU, Choice

CUDA = "CUDAExecutionProvider"


def event(name: str, provider: str, dur: int) -> dict[str, object]:
    arguments = {"provider": provider, "op_name": "Conv"}
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": dur, "args": arguments}


def test_a_profile_is_summed_over_the_runs_of_a_node() -> None:
    other = {"cat": "Session", "name": "model_run", "dur": 50, "args": {}}
    nodes = parse_profile([event("a", CUDA, 10), other, event("b", CPU, 5), event("a", CUDA, 20)])
    assert nodes == (NodeTime("a", "Conv", CUDA, 30.0, 2, 15.0), NodeTime("b", "Conv", CPU, 5.0, 1, 5.0))


def test_shares_of_nodes_and_of_time() -> None:
    placement = place(CUDA, parse_profile([event("a", CPU, 30), event("b", CUDA, 10), event("c", CUDA, 20)]))
    assert [s.provider for s in placement.shares] == [CUDA, CPU]
    assert placement.requested_ratio == pytest.approx(2 / 3)
    assert [s.time_ratio for s in placement.shares] == pytest.approx([0.5, 0.5])
    assert [n.node for n in placement.elsewhere] == ["a"]


def test_a_compiled_subgraph_counts_as_its_nodes() -> None:
    kernels = parse_profile([event("subgraph", CUDA, 30), event("a", CPU, 10)])
    placement = place(CUDA, kernels, {CUDA: 9, CPU: 1})
    assert [(s.nodes, s.kernels) for s in placement.shares] == [(9, 1), (1, 1)]
    assert placement.requested_ratio == pytest.approx(0.9)
    assert [s.time_ratio for s in placement.shares] == pytest.approx([0.75, 0.25])


def test_the_slow_first_run_does_not_decide_about_shares_of_time() -> None:
    slow = [event("a", CUDA, 900), event("a", CUDA, 10), event("a", CUDA, 10)]
    placement = place(CUDA, parse_profile([*slow, *(event("b", CPU, 10) for _ in range(3))]))
    assert [s.time_ratio for s in placement.shares] == pytest.approx([0.5, 0.5])


def test_nodes_that_ran_elsewhere_are_named_slowest_first() -> None:
    events = [event("x", CUDA, 1), *(event(f"n{i}", CPU, i) for i in range(7))]
    note = check_placement(Choice(CUDA), place(CUDA, parse_profile(events)))
    assert note is not None
    assert note.startswith(f"7 nodes did not run on {CUDA}: n6 (Conv), n5")
    assert note.endswith("and 2 more")


def test_everything_where_it_belongs_needs_no_note() -> None:
    assert check_placement(Choice(CUDA), place(CUDA, parse_profile([event("a", CUDA, 1)]))) is None


def test_a_provider_that_ran_nothing_is_refused() -> None:
    placement = place(CUDA, parse_profile([event("a", CPU, 1)]))
    with pytest.raises(ProviderError, match="ran none of 1 nodes"):
        check_placement(Choice(CUDA), placement)
    assert "ran none" in (check_placement(Choice(CUDA), placement, allow_fallback=True) or "")
