"""Quantizing only what is faster for it on this machine: whole models are timed, and the fastest is taken.

An integer kernel can lose to the float one (depthwise convolutions do on many CPUs), and conversions around it cost
time too, so that no table of operators says what pays. Some ways to leave nodes in float are tried and timed in turns
with the float model; if none is faster, the float model is the answer, with the measurement as the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..calib_data import CalibrationData
from ..core import ModelArtifact
from ..core.errors import UsageError
from ..core.reports import Skip
from ..passes.quantization import DYNAMIC
from ..runtime import LatencyOptions, measure_latency, time_nodes
from ..runtime.feeds import fixed_batch
from .drop_budget import Candidate, Relief
from .monitor import Monitor

LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators with weights: what they lose by a detour through float is worth a second look."""

_FLOAT = "float"
_NOTHING = "nothing"
_ANYWAY = ", whatever conversions cost"
_NOT_WORTH_IT = "not-worth-it"
_SECONDS = 20.0


@dataclass(frozen=True)
class TimedChoice:
    """One way to quantize, timed.

    Attributes:
        name: Which nodes it leaves in float.
        float_nodes: How many of those that could be quantized.
        speed_ratio: How many times as fast as the float model.
        low_ratio: Lower end of its 95 % interval.
        high_ratio: Upper end.
        verdict: ``faster``, ``slower`` or ``no difference``.
    """

    name: str
    float_nodes: int
    speed_ratio: float
    low_ratio: float
    high_ratio: float
    verdict: str


@dataclass(frozen=True)
class SpeedChoice:
    """What was timed, and what was taken.

    Attributes:
        batch: Batch size timed.
        threads: Threads timed with; 0 is ONNX Runtime's choice.
        taken: Name of the choice taken; ``float`` where none was faster.
        choices: All of them.
    """

    batch: int
    threads: int
    taken: str
    choices: tuple[TimedChoice, ...]


def choose_fastest(
    source: ModelArtifact,
    attempt: Callable[[Relief], Candidate],
    data: CalibrationData,
    *,
    batch: int,
    threads: int,
    seed: int,
    monitor: Monitor,
) -> tuple[Candidate, SpeedChoice]:
    """Quantize in several ways, and take the fastest that is faster than float.

    Args:
        source: The float model, clean.
        attempt: Quantizes, leaving some nodes in float.
        data: Samples to run.
        batch: Samples in a run.
        threads: Threads inside an operator; 0 leaves it to ONNX Runtime.
        seed: Seed of the timing's order.
        monitor: Is told of each choice.

    Raises:
        UsageError: The model does not take the batch.
    """
    if (own := fixed_batch(source, data)) not in {None, batch}:
        raise UsageError(f"the model takes a batch of {own} only, not {batch}", remedy=f"give --batch {own}")
    options = LatencyOptions(batches=(batch,), threads=threads, seconds=_SECONDS, seed=seed)
    found = _candidates(source, attempt, data, options)
    models = {_FLOAT: source, **{name: candidate.model for name, (candidate, _) in found.items()}}
    report = measure_latency(models, data, options)
    choices = []
    for name, (_, left) in found.items():
        row = report.row_of(name, batch)
        choices.append(
            TimedChoice(name, left, row.speed_ratio, row.speed_low_ratio, row.speed_high_ratio, row.verdict)
        )
        monitor.note(f"{name} left in float: {row.speed_ratio:.2f}x, {row.verdict}")
    best = max(choices, key=lambda choice: (choice.verdict == "faster", choice.speed_ratio))
    dearest = next((choice for choice in choices if choice.name == _NOTHING + _ANYWAY), None)
    if best.verdict != "faster":
        whole = found[dearest.name if dearest else _NOTHING][0]
        return _left_alone(source, whole, best), SpeedChoice(batch, threads, _FLOAT, tuple(choices))
    taken = found[best.name][0]
    if dearest is not None:
        taken.report.skipped = [_measured(skip, dearest) for skip in taken.report.skipped]
    return taken, SpeedChoice(batch, threads, best.name, tuple(choices))


def _candidates(
    source: ModelArtifact,
    attempt: Callable[[Relief], Candidate],
    data: CalibrationData,
    timing: LatencyOptions,
) -> dict[str, tuple[Candidate, int]]:
    """The ways to quantize, each with the number of nodes that it leaves in float.

    What the costs of conversions speak against is tried too, so that the clock has the last word.
    """
    found: dict[str, tuple[Candidate, int]] = {}
    for at_any_cost, suffix in ((False, ""), (True, _ANYWAY)):
        everything = attempt(Relief(at_any_cost=at_any_cost))
        planned = [change.node for change in everything.report.applied]
        found[_NOTHING + suffix] = (everything, 0)
        ways = _ways(source, everything, data, timing)
        for name, nodes in ways.items():
            if nodes and len(nodes) < len(planned):
                relief = Relief(tuple(nodes), at_any_cost=at_any_cost)
                found[name + suffix] = (attempt(relief), len(nodes))
        if not any(skip.code == _NOT_WORTH_IT for skip in everything.report.skipped):
            break
    return found


def _measured(skip: Skip, tried: TimedChoice) -> Skip:
    """The reason of a node that costs spoke against, with what the clock said of all such nodes in integers."""
    if skip.code != _NOT_WORTH_IT:
        return skip
    said = f"{tried.speed_ratio:.2f}x ({tried.low_ratio:.2f} to {tried.high_ratio:.2f}) with all such nodes in integers"
    return replace(skip, text=f"{skip.text}; measured: {said}")


def _ways(
    source: ModelArtifact, found: Candidate, data: CalibrationData, timing: LatencyOptions
) -> dict[str, list[str]]:
    """Which nodes to leave in float, by a name for the choice."""
    planned = {change.node: change.what for change in found.report.applied}
    layers = [node for node, what in planned.items() if what in {*LAYERS, DYNAMIC}]
    others = [node for node in planned if node not in layers]
    times = time_nodes(
        {_FLOAT: source, "integer": found.model},
        data,
        batch=timing.batches[0],
        threads=timing.threads,
        seed=timing.seed,
    )
    slower = [n for n in layers if times["integer"].get(n, 0.0) > times[_FLOAT].get(n, float("inf"))]
    depthwise = [
        node.name or ""
        for node in source.load().graph
        if node.name in planned and node.op_type == "Conv" and node.attributes.get_int("group", 1) > 1
    ]
    return {
        "layers that are slower": slower,
        "grouped convolutions": depthwise,
        "all but layers": others,
        "all but layers that are faster": [*others, *slower],
    }


def _left_alone(source: ModelArtifact, found: Candidate, best: TimedChoice) -> Candidate:
    """The float model, in which every node stays for the reason that was measured."""
    text = f"not faster here: at best {best.speed_ratio:.2f}x ({best.low_ratio:.2f} to {best.high_ratio:.2f})"
    skipped = [Skip(change.node, None, "not-faster", text) for change in found.report.applied]
    report = replace(found.report, applied=[], skipped=[*found.report.skipped, *skipped])
    report.after = report.before
    return Candidate(source, report, None)
