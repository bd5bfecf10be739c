"""Kernels run by run: what each took in every run of a profile, so that runs can be paired."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .intervals import Matrix


class Kernel(NamedTuple):
    """One kernel of the optimised graph.

    Attributes:
        node: The name of its node there; fused nodes carry the name of one of their parts.
        op_type: Its operator.
        provider: The provider that ran it.
    """

    node: str
    op_type: str
    provider: str


@dataclass(frozen=True)
class KernelTimes:
    """What a profile says of each run.

    Attributes:
        runs_ms: Milliseconds of each run as a whole, shape ``(runs,)``.
        kernels_ms: Milliseconds of each kernel in each run, shape ``(runs,)``; 0 where it did not run. A kernel
            inside a loop counts as often as it ran.
    """

    runs_ms: Matrix
    kernels_ms: Mapping[Kernel, Matrix]


def kernel_times(events: Sequence[Mapping[str, Any]]) -> KernelTimes:
    """Read the time of every kernel in every run from a profile.

    Args:
        events: The parsed JSON of ONNX Runtime's profile: times and durations in microseconds.

    Returns:
        The times; what ran outside a whole run is left out.
    """
    runs = sorted((e["ts"], e["dur"]) for e in events if e.get("name") == "model_run")
    starts = np.array([start for start, _ in runs])
    found: dict[Kernel, Matrix] = defaultdict(lambda: np.zeros(len(runs)))
    for event in events:
        arguments = event.get("args", {})
        if event.get("cat") != "Node" or not arguments.get("provider"):
            continue
        run = int(np.searchsorted(starts, event["ts"], side="right")) - 1
        if run >= 0 and event["ts"] <= sum(runs[run]):
            name = str(event["name"]).removesuffix("_kernel_time")
            key = Kernel(name, str(arguments.get("op_name", "")), str(arguments["provider"]))
            found[key][run] += event["dur"] / 1000
    return KernelTimes(np.array([dur / 1000 for _, dur in runs]), dict(found))
