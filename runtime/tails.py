"""Percentiles of single runs, where there are enough of them, and the rate that a model keeps up."""

from __future__ import annotations

import math

import numpy as np

from .intervals import Matrix


def percentile_ms(runs_ms: Matrix, percent: int) -> float | None:
    """The nearest-rank percentile of runs; None where they are too few for it.

    Of ``n`` runs the slowest stands for a share of ``1 / n``. A percentile that leaves less than one run above it
    would be the slowest run under another name, so that p99 needs 100 runs and p90 ten.

    Args:
        runs_ms: Milliseconds of each run, of any shape.
        percent: Which percentile, 1 to 99.
    """
    ordered = np.sort(runs_ms, axis=None)
    if len(ordered) * (100 - percent) < 100:
        return None
    return float(ordered[math.ceil(len(ordered) * percent / 100) - 1])


def samples_per_s(runs_ms: Matrix, batch: int) -> float:
    """Samples a second over all timed runs, slow ones included.

    Args:
        runs_ms: Milliseconds of each run, of any shape.
        batch: Samples in a run.
    """
    return batch * 1e3 / float(runs_ms.mean())
