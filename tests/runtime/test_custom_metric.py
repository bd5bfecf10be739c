from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import DataError, UsageError
from sardonyx.runtime import evaluate

CODE = """
import pathlib
def by_path(model_path, threads=2):
    assert pathlib.Path(model_path).read_bytes()[:1] == b"\\x08"
    return 0.25
def by_mapping(model_path):
    return {"metric": "auc", "value": 0.5, "n": 12, "higher_is_better": False, "low": 0.4, "high": 0.6}
def by_outputs(outputs, labels):
    return (outputs["y"].argmax(1) == labels).mean()
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
