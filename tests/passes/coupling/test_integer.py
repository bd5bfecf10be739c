"""A model that is quantized already is cut like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from nets import Net
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from sardonyx import ModelArtifact
from sardonyx.calib_data import CalibrationData, OrtRunner
from sardonyx.core.shapes import infer_shapes
from sardonyx.passes.coupling import Kept, analyze, cut_classes
from sardonyx.passes.pruning.masking import masked

X = np.random.default_rng(0).standard_normal((8, 3, 8, 8)).astype("f4")


class Reader(CalibrationDataReader):
    def __init__(self) -> None:
        self.left = iter([{"x": X}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.left, None)


def quantized(folder: Path, form: QuantFormat, *, per_channel: bool) -> ir.Model:
    """A residual network through ``onnxruntime.quantization``."""
    n = Net()
    a = n.relu(n.conv(n.x, 8))
    b = n.relu(n.add(a, n.conv(n.relu(n.conv(a, 12)), 8)))
    ModelArtifact.of(n.model(n.head(n.relu(n.conv(b, 6))))).save(folder / "float.onnx")
    quantize_static(
        folder / "float.onnx",
        folder / "int8.onnx",
        Reader(),
        quant_format=form,
        per_channel=per_channel,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv"],
    )
    model = ModelArtifact.open(folder / "int8.onnx").load()
    infer_shapes(model)
    return model


def run(model: ir.Model) -> np.ndarray:
    data, name = CalibrationData.from_arrays({"x": X}), model.graph.outputs[0].name
    return next(iter(OrtRunner(threads=1).run(model, data.batches(8), [name])))[name]


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator], ids=["qdq", "qoperator"])
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_quantized_network_is_cut_with_its_scales(
    tmp_path: Path, form: QuantFormat, per_channel: bool
) -> None:
    model = quantized(tmp_path, form, per_channel=per_channel)
    coupling = analyze(model)
    assert sorted(g.size for g in coupling.groups) == [6, 8, 12]
    labels = np.concatenate([g.classes[: g.size // 2] for g in coupling.groups])
    expected = run(masked(model, coupling, Kept(coupling, labels)))
    smaller = model.clone()
    cut_classes(smaller, analyze(smaller), labels)
    infer_shapes(smaller)
    np.testing.assert_allclose(run(smaller), expected, rtol=1e-5, atol=1e-6)
