from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import DataError, UsageError
from sardonyx.runtime import compare, evaluate

CODE = """
import pathlib
def by_path(model_path, threads=2):
    assert pathlib.Path(model_path).read_bytes()[:1] == b"\\x08"
    return 0.25
def by_mapping(model_path):
    return {"metric": "auc", "value": 0.5, "n": 12, "higher_is_better": False, "low": 0.4, "high": 0.6}
def by_outputs(outputs, labels):
    return (outputs["y"].argmax(1) == labels).mean()
def by_sample(outputs, labels):
    return (outputs["y"].argmax(1) == labels).astype(float)
def error_by_sample(outputs, labels):
    return {"metric": "error", "value": 1.0 - by_sample(outputs, labels), "higher_is_better": False}
def broken_by_sample(outputs, labels):
    return by_sample(outputs, labels) / 0.0
def three(a, b, c): return 0
def text(model_path): return "good"
def infinite(model_path): return float("inf")
def broken(model_path): return 1 / 0
number = 3
"""


@pytest.fixture
def code(tmp_path: Path) -> str:
    (tmp_path / "metric.py").write_text(CODE)
    return str(tmp_path / "metric.py")


def test_a_function_of_the_path_gets_a_file_even_of_a_model_in_memory(code: str, linear: Any) -> None:
    found = evaluate(linear(), None, f"{code}:by_path")
    assert (found.metric, found.value, found.low, found.n) == ("by_path", 0.25, None, 0)
    assert found.method.startswith("no interval")


def test_a_mapping_may_bring_its_own_interval(code: str, linear: Any) -> None:
    found = evaluate(linear(), None, f"{code}:by_mapping")
    assert (found.metric, found.value, found.low, found.high, found.n) == ("auc", 0.5, 0.4, 0.6, 12)
    assert not found.higher_is_better


def test_a_function_of_outputs_and_labels_gets_an_interval(
    code: str, linear: Any, data: CalibrationData
) -> None:
    found = evaluate(linear(noise=1.0), data, f"{code}:by_outputs")
    plain = evaluate(linear(noise=1.0), data)
    assert found.value == plain.value < 1.0
    assert found.low < found.value < found.high  # type: ignore[operator]
    assert (found.method, found.n) == ("jackknife 95 %, 20 groups", 50)
    assert found.outputs == ("total", "y")


def test_a_number_for_each_sample_is_averaged_and_drawn_anew(
    code: str, linear: Any, data: CalibrationData
) -> None:
    found = evaluate(linear(noise=1.0), data, f"{code}:by_sample")
    plain = evaluate(linear(noise=1.0), data)
    assert found.value == plain.value
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.05)
    assert (found.method, found.n) == ("bootstrap 95 %, 2000 resamples", 50)
    error = evaluate(linear(noise=1.0), data, f"{code}:error_by_sample")
    assert (error.metric, error.higher_is_better) == ("error", False)
    assert error.value == pytest.approx(1.0 - plain.value)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("by_sample", "paired bootstrap"),
        ("error_by_sample", "paired bootstrap"),
        ("by_outputs", "paired jackknife, 20 groups"),
    ],
)
def test_functions_of_outputs_are_paired(
    code: str, linear: Any, data: CalibrationData, name: str, method: str
) -> None:
    models = {"a": linear(), "b": linear(noise=2.0)}
    row = compare(models, data, f"{code}:{name}", latency=False).rows[1]
    right = [evaluate(model, data).value for model in models.values()]
    assert row.drop.value == pytest.approx(right[0] - right[1])
    assert (row.drop_test.method, row.drop_test.verdict) == (method, "real")


def test_a_function_of_the_path_cannot_be_paired(code: str, linear: Any, data: CalibrationData) -> None:
    row = compare({"a": linear(), "b": linear()}, data, f"{code}:by_path", latency=False).rows[1]
    assert (row.drop, row.drop_test) == (None, None)


def test_numbers_of_samples_have_to_be_finite(code: str, linear: Any, data: CalibrationData) -> None:
    with pytest.raises(DataError, match="not finite"), np.errstate(divide="ignore", invalid="ignore"):
        evaluate(linear(), data, f"{code}:broken_by_sample")


@pytest.mark.parametrize(
    ("name", "error", "match"),
    [
        ("three", UsageError, "takes 3 arguments"),
        ("missing", UsageError, "has no function 'missing'"),
        ("number", UsageError, "has no function 'number'"),
        ("text", DataError, "not a number"),
        ("infinite", DataError, "returned inf"),
        ("broken", DataError, "ZeroDivisionError"),
        ("by_outputs", DataError, "needs samples"),
    ],
)
def test_functions_that_cannot_be_used(code: str, linear: Any, name: str, error: type, match: str) -> None:
    with pytest.raises(error, match=match):
        evaluate(linear(), None, f"{code}:{name}")


@pytest.mark.parametrize(
    ("content", "match"), [(None, "is not a file"), ("import no_such_module_here", "fails")]
)
def test_files_that_cannot_be_used(tmp_path: Path, linear: Any, content: str | None, match: str) -> None:
    path = tmp_path / "metric.py"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=match):
        evaluate(linear(), None, f"{path}:f")
