from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from sardonyx.calib_data import CalibrationData
from sardonyx.core import ModelArtifact
from sardonyx.pipeline.report import render_html, render_terminal, report_of, stage_of
from sardonyx.runtime import CompareReport, LatencyOptions, compare


@pytest.fixture(scope="module")
def comparison() -> CompareReport:
    """Two small classifiers, the second a noisy copy of the first."""
    random = np.random.default_rng(0)
    weight = random.normal(size=(4, 3))
    models = {
        name: classifier(weight + noise * random.normal(size=(4, 3)))
        for name, noise in (("a", 0), ("b", 0.5))
    }
    x = random.normal(size=(40, 4)).astype(np.float32)
    data = CalibrationData.from_arrays({"x": x}, (x @ weight).argmax(1))
    return compare(models, data, options=LatencyOptions((1,), threads=1, rounds=5, sample_ms=0.2, seconds=1))


def classifier(weight: np.ndarray) -> ModelArtifact:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "product")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(weight.astype(np.float32), "w")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return ModelArtifact.of(ir.from_proto(proto))


def test_a_row_becomes_a_stage(comparison: CompareReport) -> None:
    row = comparison.rows[1]
    stage = stage_of(row, kind="prune")
    assert (stage.name, stage.kind, stage.params, stage.macs) == ("b", "prune", 12, 12)
    assert stage.accuracy is not None
    assert (stage.accuracy.value, stage.accuracy.low) == (row.accuracy.value, row.accuracy.low)
    assert stage.drop is not None
    assert stage.latency[0].median_ms.value == row.latency[0].median_ms


def test_a_comparison_becomes_a_report(comparison: CompareReport) -> None:
    report = report_of(comparison, title="two", command="sardonyx compare a b")
    assert (report.metric, report.is_share, report.higher_is_better) == ("top1", True, True)
    assert report.provenance["a sha256"] == comparison.rows[0].sha256
    assert report.environment["onnxruntime"]


def test_a_comparison_can_be_rendered(comparison: CompareReport) -> None:
    report = report_of(comparison)
    assert "Batch 1" in render_html(report)
    assert "100.00\u00a0%" in render_terminal(report)


def test_an_unknown_row_is_refused(comparison: CompareReport) -> None:
    from sardonyx.core.errors import UsageError

    with pytest.raises(UsageError, match="no model 'c'"):
        stage_of(comparison.row("c"))


def test_importing_the_report_loads_no_renderer() -> None:
    names = "('onnxruntime', 'torch', 'matplotlib', 'jinja2', 'rich')"
    code = f"import sys, sardonyx.pipeline.report; print([m for m in {names} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=True)
    assert done.stdout.strip() == "[]"
