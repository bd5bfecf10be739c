from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

import pytest
from onnx import helper
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import UsageError
from sardonyx.runtime import DriftOptions, LatencyOptions, compare, environment_fingerprint

QUICK = LatencyOptions(batches=(1,), threads=1, rounds=5, warmup=1, sample_ms=0.2, seconds=1)


def test_models_side_by_side(linear: Any, data: CalibrationData) -> None:
    report = compare({"plain": linear(), "noisy": linear(noise=2.0)}, data, options=QUICK)
    plain, noisy = report.rows
    assert (plain.drop, plain.agreement, plain.params, plain.macs) == (None, None, 12, 12)
    assert noisy.drop.value == pytest.approx(plain.accuracy.value - noisy.accuracy.value)
    assert noisy.agreement.value == noisy.accuracy.value < 1.0
    assert plain.latency[0].verdict == "baseline"
    assert (report.samples, report.data_fingerprint) == (50, data.fingerprint)


def test_a_drop_is_tested(linear: Any, data: CalibrationData) -> None:
    models = {"plain": linear(), "same": linear(), "noisy": linear(noise=2.0)}
    plain, same, noisy = compare(models, data, options=QUICK, latency=False).rows
    assert plain.drop_test is None
    assert (same.drop_test.p_value, same.drop_test.verdict) == (1.0, "no difference")
    assert noisy.drop_test.verdict == "real"
    assert noisy.drop_test.lost - noisy.drop_test.gained == pytest.approx(50 * noisy.drop.value)


def test_drift_and_changed_answers_are_measured_where_asked(linear: Any, data: CalibrationData) -> None:
    models = {"plain": linear(), "noisy": linear(noise=2.0)}
    quiet = compare(models, data, options=QUICK, latency=False)
    assert (quiet.drift, quiet.changed) == ((), ())
    report = compare(models, data, options=QUICK, latency=False, drift=DriftOptions(), changed=3)
    (drift,), (changed,) = report.drift, report.changed
    assert (drift.model, drift.first_diverged.node) == ("noisy", "product")
    assert changed.changed == round(50 * (1 - report.rows[1].agreement.value))
    assert len(changed.answers) == 3


def test_sizes_are_those_of_the_file(linear: Any, data: CalibrationData) -> None:
    model = linear()
    row = compare({"m": model}, data, options=QUICK, latency=False).row("m")
    assert (row.size_bytes, row.sha256) == (len(model.content), model.sha256)
    assert row.latency == ()


def test_agreement_of_models_without_classes_is_a_cosine(build: Any, data: CalibrationData) -> None:
    def total(axis: int) -> Any:
        nodes = [helper.make_node(op, ["x"], ["y"], axes=[1], keepdims=0) for op in ("ReduceL1", "ReduceL2")]
        return build([nodes[axis]], {"y": ["N"]}, {}, ["N", 4])

    report = compare({"a": total(0), "b": total(1)}, data, "sqnr", QUICK, latency=False)
    assert report.rows[1].agreement.metric == "cosine"
    assert report.rows[1].drop is None


def test_unknown_requests_are_refused(linear: Any, data: CalibrationData) -> None:
    with pytest.raises(UsageError, match="no model to compare"):
        compare({}, data)
    with pytest.raises(UsageError, match="unknown metric"):
        compare({"a": linear()}, data, "bleu", QUICK)
    with pytest.raises(UsageError, match="no model 'z'"):
        compare({"a": linear()}, data, options=QUICK, latency=False).row("z")


def test_the_environment_names_versions_and_no_place() -> None:
    found = environment_fingerprint()
    assert found.cores >= 1
    assert found.versions["onnxruntime"]
    assert not re.search(r"/(home|root|tmp|work)\b", str(asdict(found)))
