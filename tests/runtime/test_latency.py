from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import DataError, ProviderError, UsageError
from sardonyx.runtime import LatencyOptions, latency, measure_latency
from sardonyx.runtime.feeds import feed_of, fixed_batch

QUICK = LatencyOptions(batches=(1, 4), threads=1, rounds=6, warmup=1, sample_ms=0.5, seconds=2)


def test_a_deeper_model_is_slower(stack: Any) -> None:
    models = {"deep": stack(24), "shallow": stack(2)}
    report = measure_latency(models, None, replace(QUICK, batches=(32,), sample_ms=2.0))
    deep, shallow = report.row("deep", 32), report.row("shallow", 32)
    assert (deep.verdict, deep.speed_ratio) == ("baseline", 1.0)
    assert shallow.verdict == "faster"
    assert shallow.speed_ratio > 3
    assert shallow.low_ms <= shallow.median_ms <= shallow.high_ms
    assert shallow.median_ms <= shallow.p90_ms


def test_every_model_and_batch_has_a_row(linear: Any, data: CalibrationData) -> None:
    report = measure_latency({"a": linear(), "b": linear()}, data, QUICK)
    assert [(r.model, r.batch) for r in report.rows] == [("a", 1), ("b", 1), ("a", 4), ("b", 4)]
    assert all(r.provider == "CPUExecutionProvider" for r in report.rows)


def test_a_fixed_batch_is_skipped_by_name_with_its_reason(linear: Any, data: CalibrationData) -> None:
    report = measure_latency({"free": linear(), "one": linear(batch=1)}, data, QUICK)
    assert [(s.model, s.batch) for s in report.skipped] == [("one", 4)]
    assert "fixed to 1" in report.skipped[0].reason
    assert report.row("one", 4) is None


def test_nothing_to_measure_is_refused(linear: Any) -> None:
    with pytest.raises(UsageError, match="takes a batch of"):
        measure_latency({"two": linear(batch=2)}, None, QUICK)
    with pytest.raises(UsageError, match="no model"):
        measure_latency({}, None, QUICK)


@pytest.mark.parametrize(
    "change", [{"batches": ()}, {"batches": (0,)}, {"rounds": 2}, {"seconds": 0}, {"warmup": -1}]
)
def test_numbers_out_of_range_are_refused(linear: Any, change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="not possible"):
        measure_latency({"a": linear()}, None, replace(QUICK, **change))


def test_memory_is_measured_where_asked(stack: Any) -> None:
    report = measure_latency({"a": stack(2)}, None, replace(QUICK, batches=(1,), memory=True))
    assert report.rows[0].peak_memory_bytes > 100_000


def test_samples_are_repeated_to_fill_a_batch(linear: Any, data: CalibrationData) -> None:
    feed = feed_of(linear(), data, 64)
    np.testing.assert_array_equal(feed["x"][50:], feed["x"][:14])


def test_made_up_samples_are_seeded_and_need_a_known_shape(linear: Any, build: Any) -> None:
    first, second = (feed_of(linear(), None, 3, seed=5)["x"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (3, 4)
    from onnx import helper

    free = build([helper.make_node("Relu", ["x"], ["y"])], {"y": ["N", "W"]}, {}, ["N", "W"])
    with pytest.raises(DataError, match="free shape"):
        feed_of(free, None, 3)


def test_the_batch_a_model_insists_on(linear: Any) -> None:
    assert fixed_batch(linear(batch=7), None) == 7
    assert fixed_batch(linear(), None) is None


def test_whole_feeds_are_timed_one_by_one(linear: Any) -> None:
    feeds = CalibrationData.from_arrays({"x": np.ones((3, 7, 4), np.float32)})
    report = measure_latency({"seven": linear(batch=7)}, feeds, QUICK)
    assert [r.batch for r in report.rows] == [1]
    assert feed_of(linear(batch=7), feeds, 1)["x"].shape == (7, 4)


def test_all_that_a_row_can_hold(linear: Any) -> None:
    options = replace(QUICK, batches=(4,), loads=2, pace=True, threads=1)
    row = measure_latency({"a": linear()}, None, options).rows[0]
    assert row.load_ms is not None
    assert row.first_run_ms is not None
    assert row.pace_ratio is not None
    assert 0 < row.pace_low_ratio <= row.pace_ratio <= row.pace_high_ratio < 1  # a tiny model beside the pace
    assert row.p90_ms <= row.p99_ms  # runs of microseconds: hundreds of them
    assert row.throughput_per_s > 1000
    assert (row.threads, row.warmup_runs >= 2) == (1, True)


def test_what_is_not_asked_for_is_none(linear: Any) -> None:
    report = measure_latency({"a": linear()}, None, replace(QUICK, batches=(4,)))
    row = report.rows[0]
    assert [row.load_ms, row.first_run_ms, row.pace_ratio, row.peak_memory_bytes] == [None] * 4
    assert report.notes == ()
    assert report.conditions.seconds > 0


def test_cold_caches_are_said(linear: Any) -> None:
    report = measure_latency({"a": linear()}, None, replace(QUICK, batches=(1,), rounds=5, cold=True))
    assert "a buffer of" in report.notes[0]
    assert report.rows[0].runs_per_sample <= 5


@pytest.mark.parametrize("change", [{"threads": -1}, {"loads": -1}])
def test_counts_below_zero_are_refused(linear: Any, change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="fewer than 0"):
        measure_latency({"a": linear()}, None, replace(QUICK, **change))


def test_a_pace_that_a_provider_does_not_take_is_said(linear: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(model: Any, options: LatencyOptions) -> Any:
        if model.name == "pace":
            raise ProviderError("it takes integers only", remedy="none")
        return opened(model, options)

    opened = latency._open
    monkeypatch.setattr(latency, "_open", refuse)
    report = measure_latency({"a": linear()}, None, replace(QUICK, batches=(1,), pace=True))
    assert report.rows[0].pace_ratio is None
    assert "it takes integers only" in report.notes[0]
