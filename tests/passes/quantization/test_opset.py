"""Moving to another opset: what both versions compute must be the same, infinities and NaN too."""

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx.calib_data import OrtRunner
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import ModelError
from sardonyx.passes.quantization import opset

TEXT = '<ir_version: 8, opset_import: ["" : 11]> g (float[N,4] x) => (float[N,4] y) {{ y = {} (x) }}'


def graph(operator: str) -> ir.Model:
    return ir.from_onnx_text(TEXT.format(operator))


def raised(model: ir.Model) -> ir.Model:
    rows = np.array([[0.0, -1.0, 2.0, 1.0], [1.0, 0.0, 3.0, -2.0]], np.float32)
    return opset.raise_opset(model, 13, CalibrationData.from_arrays({"x": rows}), OrtRunner(threads=1))


@pytest.mark.parametrize("operator", ["Relu", "Log", "Sqrt", "Reciprocal"])
def test_what_is_not_finite_in_both_is_the_same(operator):
    assert raised(graph(operator)).opset_imports[""] == 13


def test_another_result_is_refused(monkeypatch):
    other = ir.to_proto(graph("Reciprocal"))
    other.opset_import[0].version = 13
    monkeypatch.setattr(opset.onnx.version_converter, "convert_version", lambda *_: other)
    with pytest.raises(ModelError, match="changed 'y'"):
        raised(graph("Log"))


NEWEST = '<ir_version: 13, opset_import: ["" : 28]> g (float[N,4] x) => (float[N,4] y) {{ y = {} (x) }}'
ROWS = CalibrationData.from_arrays({"x": np.eye(4, dtype=np.float32)})


def runs_quantized(version: int) -> bool:
    """Whether ONNX Runtime computes a QuantizeLinear of an opset."""
    text = f"""<ir_version: 13, opset_import: ["" : {version}]> g (float[N,4] x) => (uint8[N,4] y)
        <float s = {{0.5}}, uint8 z = {{3}}> {{ y = QuantizeLinear(x, s, z) }}"""
    try:
        return bool(
            list(
                OrtRunner(threads=1).run(ir.from_onnx_text(text), [{"x": np.eye(4, dtype=np.float32)}], ["y"])
            )
        )
    except ModelError:
        return False


def test_the_newest_opset_is_one_that_the_runtime_computes():
    assert runs_quantized(opset.NEWEST_OPSET)


def test_a_newer_opset_is_lowered():
    model = ir.from_onnx_text(NEWEST.format("Celu"))
    lowered = opset.lower_opset(model, ROWS, OrtRunner(threads=1))
    assert (model.opset_imports[""], lowered.opset_imports[""]) == (28, opset.NEWEST_OPSET)


def test_what_cannot_be_lowered_is_refused(monkeypatch):
    monkeypatch.setattr(opset, "NEWEST_OPSET", 20)
    text = '<ir_version: 13, opset_import: ["" : 24]> g (float[N,4] x) => (float[N,4] y) { y = Swish (x) }'
    with pytest.raises(ModelError, match="converting opset 24 to 20 is not possible") as refusal:
        opset.lower_opset(ir.from_onnx_text(text), ROWS, OrtRunner(threads=1))
    assert "20 or older" in refusal.value.remedy
