"""Every file of one model measured in one process: sizes, accuracy, and latency in turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import sardonyx as sx
from cases import Case
from measured import Measured, measure_files
from sardonyx.core.metrics import measure_graph
from sardonyx.core.reports import GraphMetrics
from sardonyx.runtime import Accuracy, LatencyRow

_UNTOUCHED, _FAR = 0.995, 0.05


@dataclass(frozen=True)
class Row:
    """A case, measured; figures are None where there is no file, or ONNX Runtime does not take it.

    Attributes:
        case: What was done.
        params_ratio: Share of the parameters that is left.
        macs_ratio: Share of the multiply-accumulates that is left.
        top1: Accuracy on the test images.
        latency: A row for each batch size, against the model as it was.
    """

    case: Case
    params_ratio: float | None = None
    macs_ratio: float | None = None
    top1: Accuracy | None = None
    latency: tuple[LatencyRow, ...] = ()


def measure_cases(
    cases: Sequence[Case], test: sx.CalibrationData, *, threads: int, seconds: float
) -> list[Row]:
    """Measure all cases of one model.

    Args:
        cases: The cases, the model as it was being the first.
        test: The test images.
        threads: Threads inside an operator.
        seconds: The longest that timing may take.
    """
    files = {case: case.file for case in cases if case.file is not None}
    found = measure_files(files, test, threads=threads, seconds=seconds)
    first = found[cases[0]]
    if isinstance(first, str):
        raise SystemExit(f"{cases[0].file} {first}")
    whole = measure_graph(first.model.load())
    return [_row(case, found.get(case, case.note), whole) for case in cases]


def _row(case: Case, measured: Measured | str, whole: GraphMetrics) -> Row:
    if isinstance(measured, str):
        return Row(replace(case, note=measured))
    graph = measure_graph(measured.model.load())
    row = Row(
        case,
        graph.params / whole.params,
        graph.macs / whole.macs if graph.macs and whole.macs else None,
        measured.top1,
        measured.latency,
    )
    return replace(row, case=replace(case, note=_note(row)))


def _note(row: Row) -> str:
    """What is odd about a file: it is whole, or far from what was asked for."""
    share, left = row.case.share, row.params_ratio
    if share is None or left is None or share == 1:
        return row.case.note
    if left > _UNTOUCHED:
        return "left untouched"
    return f"no nearer to {share:.0%} of the parameters" if abs(left - share) > _FAR else row.case.note
