"""How long a model takes until its first answer: making the session, and the first run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from ..core.tensors import Feed
from .sessions import Session


@dataclass(frozen=True)
class LoadTimes:
    """Medians over fresh sessions.

    Attributes:
        load_ms: Milliseconds that ONNX Runtime takes to make the session, from a model that is in memory.
        first_run_ms: Milliseconds of the first run, in which memory is set aside and kernels are prepared. Off the
            CPU it is profiled, which makes it longer.
    """

    load_ms: float
    first_run_ms: float


def load_times(open_fresh: Callable[[], Session], feed: Feed, count: int) -> LoadTimes:
    """Open a model several times, each time as if it were the first.

    Args:
        open_fresh: Makes a new session.
        feed: The batch of the first run.
        count: How often, 1 or more.
    """
    loads, firsts = [], []
    for _ in range(count):
        session = open_fresh()
        begin = time.perf_counter_ns()
        session.run(feed)
        firsts.append((time.perf_counter_ns() - begin) / 1e6)
        loads.append(session.load_ms)
    return LoadTimes(median(loads), median(firsts))
