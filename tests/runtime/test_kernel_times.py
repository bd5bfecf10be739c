from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sardonyx.runtime.kernel_times import Kernel, kernel_times


def run(ts: int, dur: int) -> dict[str, Any]:
    return {"cat": "Session", "name": "model_run", "ts": ts, "dur": dur, "args": {}}


def node(name: str, ts: int, dur: int, provider: str = "P") -> dict[str, Any]:
    arguments = {"op_name": "Conv", "provider": provider}
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": ts, "dur": dur, "args": arguments}


def test_each_event_lands_in_its_run() -> None:
    # as ONNX Runtime writes them: a run comes after its nodes
    events = [node("a", 10, 100), node("a", 120, 50), run(5, 300), node("a", 410, 80), run(400, 100)]
    found = kernel_times(events)
    np.testing.assert_allclose(found.runs_ms, [0.3, 0.1])
    np.testing.assert_allclose(found.kernels_ms[Kernel("a", "Conv", "P")], [0.15, 0.08])


def test_a_kernel_that_rests_in_a_run_counts_nothing_there() -> None:
    found = kernel_times([node("a", 10, 100), run(5, 300), run(400, 100)])
    np.testing.assert_allclose(found.kernels_ms[Kernel("a", "Conv", "P")], [0.1, 0.0])


@pytest.mark.parametrize("event", [node("a", 350, 10), node("a", 1, 10), node("a", 10, 10, provider="")])
def test_what_is_outside_of_runs_or_of_no_provider_is_left_out(event: dict[str, Any]) -> None:
    assert kernel_times([event, run(5, 300)]).kernels_ms == {}


def test_an_event_without_a_duration_is_refused() -> None:
    broken = {key: value for key, value in node("a", 10, 1).items() if key != "dur"}
    with pytest.raises(KeyError, match="dur"):
        kernel_times([broken, run(5, 300)])
