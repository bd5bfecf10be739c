"""Every file of one model measured in one process: sizes, accuracy, and latency in turns."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import sardonyx as sx
from cases import Case
from sardonyx.core.metrics import measure_graph
from sardonyx.runtime import Accuracy, LatencyOptions, LatencyRow, evaluate, measure_latency

BATCHES = (1, 32)

_UNTOUCHED, _FAR = 0.995, 0.05


@dataclass(frozen=True)
class Row:
    """A case, measured; figures are None where there is no file, or ONNX Runtime does not take it.

    Attributes:
        case: What was done.
        params_ratio: Share of the parameters that is left.
        macs_ratio: Share of the multiply-accumulates that is left.
        top1: Accuracy on the test images.
        latency: A row for each of :data:`BATCHES`, against the model as it was.
    """

    case: Case
    params_ratio: float | None = None
    macs_ratio: float | None = None
    top1: Accuracy | None = None
    latency: tuple[LatencyRow, ...] = ()


def measure_cases(
    cases: Sequence[Case], test: sx.CalibrationData, *, threads: int, seconds: float
) -> list[Row]:
    """Measure all cases of one model; files that are equal to the byte are measured once.

    Args:
        cases: The cases, the model as it was being the first.
        test: The test images.
        threads: Threads inside an operator.
        seconds: The longest that timing may take.
    """
    taken: dict[Case, sx.ModelArtifact] = {}
    accuracy: dict[str, Accuracy] = {}
    rows: dict[Case, Row] = {case: Row(case) for case in cases}
    for case in cases:
        print(f"measuring {case.tool}, {case.setting} {case.share}", file=sys.stderr, flush=True)
        try:
            model = None if case.file is None else sx.open_model(case.file)
            if model is not None and model.sha256 not in accuracy:
                accuracy[model.sha256] = evaluate(model, test, threads=threads)
        except sx.SardonyxError as error:
            rows[case] = Row(replace(case, note=f"does not run: {str(error).splitlines()[0]}"))
        else:
            taken |= {} if model is None else {case: model}
    print("timing", file=sys.stderr, flush=True)
    options = LatencyOptions(batches=BATCHES, threads=threads, seconds=seconds)
    timed = measure_latency({model.sha256: model for model in taken.values()}, test, options)
    whole = measure_graph(taken[cases[0]].load())
    for case, model in taken.items():
        graph = measure_graph(model.load())
        row = Row(
            case,
            graph.params / whole.params,
            graph.macs / whole.macs if graph.macs and whole.macs else None,
            accuracy[model.sha256],
            tuple(r for r in timed.rows if r.model == model.sha256),
        )
        rows[case] = replace(row, case=replace(case, note=_note(row)))
    return [rows[case] for case in cases]


def _note(row: Row) -> str:
    """What is odd about a file: it is whole, or far from what was asked for."""
    share, left = row.case.share, row.params_ratio
    if share is None or left is None or share == 1:
        return row.case.note
    if left > _UNTOUCHED:
        return "left untouched"
    return f"no nearer to {share:.0%} of the parameters" if abs(left - share) > _FAR else row.case.note
