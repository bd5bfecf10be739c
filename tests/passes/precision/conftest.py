"""Small networks written as text in any float type, and samples for them."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from sardonyx.calib_data import CalibrationData, OrtRunner


@pytest.fixture
def network():
    """Make a model from a graph's text and its weights; nodes are named by operator and position."""

    def make(text, weights=None, opset=18):
        imports = f'"" : {opset}, "com.microsoft" : 1, "own" : 1'
        model = onnx.parser.parse_model(f"<ir_version: 10, opset_import: [{imports}]>\n{text}")
        known = {n: onnx.numpy_helper.from_array(np.asarray(a), n) for n, a in (weights or {}).items()}
        model.graph.initializer.extend(known.values())
        for index, node in enumerate(model.graph.node):
            node.name = f"{node.op_type}_{index}"
        return ir.from_proto(model)

    return make


@pytest.fixture
def normal():
    """Seeded normal numbers of a shape."""

    def make(*shape, seed=0, scale=0.3, dtype=np.float32):
        return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(dtype)

    return make


@pytest.fixture
def run():
    """The first output of a model on one batch."""

    def execute(model, **feed):
        name = model.graph.outputs[0].name
        return next(iter(OrtRunner(threads=1).run(model, [feed], [name])))[name]

    return execute


@pytest.fixture
def samples():
    """Arrays as calibration data."""
    return lambda **arrays: CalibrationData.from_arrays(arrays)
