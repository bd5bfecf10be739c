from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sardonyx.core.errors import DataError, ExpectationError, UsageError
from sardonyx.pipeline import BenchDocument, bench_document, check_baseline, check_gate, hold_to_baseline
from sardonyx.runtime import LatencyOptions, LatencyReport, LatencyRow, LatencySkip

ASKED: dict[str, Any] = {"providers": ("cpu",), "batches": (1,), "threads": (1,)}


def row(
    model: str = "m.onnx", pace_ratio: float | None = 2.0, reach: float = 0.01, batch: int = 1
) -> LatencyRow:
    ends = (None, None) if pace_ratio is None else (pace_ratio * (1 - reach), pace_ratio * (1 + reach))
    return LatencyRow(
        model=model,
        batch=batch,
        provider="CPUExecutionProvider",
        threads=1,
        median_ms=3.0,
        low_ms=2.9,
        high_ms=3.1,
        p90_ms=3.5,
        p99_ms=None,
        throughput_per_s=330.0,
        baseline=model,
        speed_ratio=1.0,
        speed_low_ratio=1.0,
        speed_high_ratio=1.0,
        verdict="baseline",
        noise_ratio=0.01,
        spread_ratio=0.02,
        rounds=30,
        runs_per_sample=2,
        warmup_runs=6,
        is_steady=True,
        pace_ratio=pace_ratio,
        pace_low_ratio=ends[0],
        pace_high_ratio=ends[1],
    )


def report(*rows: LatencyRow, **options: Any) -> LatencyReport:
    return LatencyReport(LatencyOptions(batches=(1,), threads=1, **options), rows)


def document(*rows: LatencyRow, **options: Any) -> BenchDocument:
    return bench_document([report(*rows, **options)])


@pytest.mark.parametrize(
    ("now", "reach", "allowed", "verdict"),
    [
        (2.4, 0.01, 0.05, "slower"),
        (2.4, 0.01, 0.25, "holds"),
        (2.4, 0.20, 0.05, "undecided"),
        (2.0, 0.01, 0.05, "holds"),
        (2.0, 0.01, 0.10, "holds"),
        (1.5, 0.01, 0.00, "holds"),
        (2.06, 0.01, 0.00, "undecided"),
    ],
)
def test_verdicts(now: float, reach: float, allowed: float, verdict: str) -> None:
    gate = hold_to_baseline(document(row()), [report(row(pace_ratio=now, reach=reach))], allowed)
    (found,) = gate.rows
    assert found.verdict == verdict
    assert found.time_ratio == pytest.approx(now / 2.0)
    assert found.low_ratio < found.time_ratio < found.high_ratio


def test_a_slower_clock_cancels() -> None:
    slow = replace(row(), median_ms=30.0, low_ms=29.0, high_ms=31.0)
    gate = hold_to_baseline(document(row()), [report(slow)], 0.1)
    assert gate.rows[0].time_ratio == 1.0
    check_gate(gate)


def test_the_slowest_is_named_with_its_interval() -> None:
    before = document(row("a.onnx"), row("b.onnx"))
    now = report(row("a.onnx", 2.6), row("b.onnx", 3.0))
    with pytest.raises(
        ExpectationError, match=r"b.onnx at batch 1, 1 thread, on cpu takes 1\.500 times \(1\.4"
    ):
        check_gate(hold_to_baseline(before, [now], 0.05))


def test_what_is_missing_on_either_side_is_an_error() -> None:
    with pytest.raises(DataError, match=r"does not have b.onnx at batch 1"):
        hold_to_baseline(document(row()), [report(row(), row("b.onnx"))], 0.05)
    with pytest.raises(UsageError, match=r"has b.onnx at batch 1, 1 thread, on cpu, which is not timed"):
        hold_to_baseline(document(row(), row("b.onnx")), [report(row())], 0.05)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"batches": (1, 2)}, DataError),
        ({"threads": (2,)}, DataError),
        ({"providers": ("cuda",)}, DataError),
        ({"cold": True}, UsageError),
    ],
)
def test_a_baseline_that_does_not_fit_is_refused_ahead(
    change: dict[str, Any], error: type[Exception]
) -> None:
    check_baseline(document(row()), ["m.onnx"], **ASKED)
    with pytest.raises(error):
        check_baseline(document(row()), ["m.onnx"], **{**ASKED, **change})


def test_a_model_left_out_is_refused_ahead() -> None:
    with pytest.raises(UsageError, match=r"has b\.onnx"):
        check_baseline(document(row(), row("b.onnx")), ["m.onnx"], **ASKED)


def test_what_the_baseline_skipped_is_not_missed() -> None:
    skip = LatencySkip("one.onnx", 1, "its batch is fixed")
    before = bench_document([replace(report(row()), skipped=(skip,))])
    check_baseline(before, ["m.onnx", "one.onnx"], **ASKED)


def test_a_file_in_another_folder_is_the_same_model_unless_two_could_be() -> None:
    assert (
        hold_to_baseline(document(row("old/m.onnx")), [report(row("new/m.onnx"))], 0.2).rows[0].verdict
        == "holds"
    )
    two = [report(row("new/m.onnx"), row("other/m.onnx"))]
    with pytest.raises(DataError, match="does not have"):
        hold_to_baseline(document(row("old/m.onnx"), row("older/m.onnx")), two, 0.2)


def test_another_pace_or_none_cannot_be_held_against() -> None:
    with pytest.raises(DataError, match=r"pace is sardonyx\.pace/0"):
        check_baseline(replace(document(row()), pace="sardonyx.pace/0"), ["m.onnx"], **ASKED)
    with pytest.raises(DataError, match="no pace in the baseline"):
        hold_to_baseline(document(row(pace_ratio=None)), [report(row())], 0.05)


@pytest.mark.parametrize("allowed", [-0.1, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(allowed: float) -> None:
    with pytest.raises(UsageError, match="--max-regression"):
        hold_to_baseline(document(row()), [report(row())], allowed)


def test_another_machine_is_said() -> None:
    before = document(row())
    old = replace(before.environment, cpu="abacus", versions={"onnxruntime": "1.0"})
    notes = hold_to_baseline(replace(before, environment=old), [report(row())], 0.05).notes
    assert any("cpu was abacus" in note for note in notes)
    assert any("onnxruntime was 1.0" in note for note in notes)
    assert hold_to_baseline(before, [report(row())], 0.05).notes == ()
