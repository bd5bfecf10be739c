"""The fastest file of Sardonyx against the fastest of others, timed anew and against each other.

Timed anew, because the fastest of many was also lucky where it was chosen. A file that loses more than a point of
accuracy is not eligible.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import sardonyx as sx
from cases import Case
from measured import BATCHES, Measured
from peers import ONNXRUNTIME, ONNXRUNTIME_DEFAULT, OURS
from sardonyx.runtime import LatencyOptions, LatencyRow, measure_latency

Found = Sequence[tuple[Case, Measured | str]]
"""All cases of one model as they were measured, the float model first."""

RIVALS: Mapping[str, Callable[[Case], bool]] = {
    "any peer": lambda case: case.tool != OURS,
    "onnxruntime": lambda case: case.tool == ONNXRUNTIME,
    "onnxruntime's default": lambda case: (case.tool, case.setting) == (ONNXRUNTIME, ONNXRUNTIME_DEFAULT),
}
"""Whose fastest file Sardonyx is timed against, and which cases are theirs."""

_MOST_LOST = 0.01
_ROUNDS = 100
_Z = 1.96
"""Standard deviations from the middle of a normal distribution to the ends of its 95 % interval."""


@dataclass(frozen=True)
class Duel:
    """Two files at one batch size.

    Attributes:
        against: One of :data:`RIVALS`.
        batch: Samples in a run.
        mine: The fastest of Sardonyx.
        rival: The fastest of theirs.
        latency: The former against the latter.
    """

    against: str
    batch: int
    mine: Case
    rival: Case
    latency: LatencyRow


@dataclass(frozen=True)
class Overall:
    """The geometric mean of ratios, with its 95 % interval; above 1 Sardonyx is faster."""

    ratio: float
    low: float
    high: float


def fight(found: Found, test: sx.CalibrationData, *, threads: int, seconds: float) -> list[Duel]:
    """Time the fastest of Sardonyx against the fastest of each rival, at each batch size at which there are both.

    Args:
        found: All cases of one model.
        test: Images to run.
        threads: Threads inside an operator.
        seconds: The longest that the timing of a pair may take.
    """
    duels = []
    for batch in BATCHES:
        options = LatencyOptions(batches=(batch,), threads=threads, rounds=_ROUNDS, seconds=seconds)
        timed: dict[Case, LatencyRow] = {}
        mine = _fastest(found, batch, lambda case: case.tool == OURS)
        for against, is_theirs in RIVALS.items():
            rival = _fastest(found, batch, is_theirs)
            if mine is None or rival is None:
                continue
            if rival[0] not in timed:
                print(f"timing the fastest against {against}, batch {batch}", file=sys.stderr, flush=True)
                row = measure_latency({"rival": rival[1], "mine": mine[1]}, test, options).row("mine", batch)
                assert row is not None
                timed[rival[0]] = row
            duels.append(Duel(against, batch, mine[0], rival[0], timed[rival[0]]))
    return duels


def overall(duels: Sequence[Duel]) -> Overall:
    """The geometric mean over duels; their errors are taken as independent.

    Args:
        duels: At least one.
    """
    rows = [duel.latency for duel in duels]
    middle = sum(math.log(row.speed_ratio) for row in rows) / len(rows)
    spreads = [math.log(row.speed_high_ratio / row.speed_low_ratio) / (2 * _Z) for row in rows]
    reach = _Z * math.hypot(*spreads) / len(rows)
    return Overall(math.exp(middle), math.exp(middle - reach), math.exp(middle + reach))


def _fastest(
    found: Found, batch: int, is_wanted: Callable[[Case], bool]
) -> tuple[Case, sx.ModelArtifact] | None:
    whole = found[0][1]
    assert isinstance(whole, Measured)
    best: tuple[float, Case, sx.ModelArtifact] | None = None
    for case, measured in found[1:]:
        if isinstance(measured, str) or not is_wanted(case):
            continue
        if measured.top1.value < whole.top1.value - _MOST_LOST:
            continue
        speed = next((row.speed_ratio for row in measured.latency if row.batch == batch), None)
        if speed is not None and (best is None or speed > best[0]):
            best = (speed, case, measured.model)
    return best and best[1:]
