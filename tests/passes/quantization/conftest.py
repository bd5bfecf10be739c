"""Small networks written as text, and samples for them."""

from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.targets import get_target

CNN = """g (float[N,16,12,12] x) => (float[N,10] y) {
    a = Conv <pads = [1,1,1,1]> (x, w1, b1)  r = Relu(a)
    b = Conv <pads = [1,1,1,1]> (r, w2, b2)  s = Add(b, r)  t = Relu(s)
    p = GlobalAveragePool(t)  f = Flatten(p)  y = Gemm <transB = 1> (f, w3, b3)
}"""
SHAPES = {"w1": (32, 16, 3, 3), "b1": (32,), "w2": (32, 32, 3, 3), "b2": (32,), "w3": (10, 32), "b3": (10,)}


def _network(text, weights, opset=17):
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text}')
    model.graph.initializer.extend(onnx.numpy_helper.from_array(a, n) for n, a in weights.items())
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{index}"
    return ir.from_proto(model)


def _normal(*shape, seed=0, scale=0.1):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    """What is kept between runs is kept between tests too, but not in the user's folder."""
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def network():
    """Make a model from a graph's text and its weights."""
    return _network


@pytest.fixture
def normal():
    """Seeded normal numbers of a shape."""
    return _normal


@pytest.fixture
def cnn_weights():
    """Weights of ``cnn``."""
    return {name: _normal(*shape, seed=i) for i, (name, shape) in enumerate(SHAPES.items())}


@pytest.fixture
def cnn(cnn_weights):
    """A residual network whose convolutions are wide enough for integers to pay."""
    return _network(CNN, cnn_weights)


@pytest.fixture
def images():
    """Sixteen samples for ``cnn``."""
    return CalibrationData.from_arrays({"x": _normal(16, 16, 12, 12, seed=9, scale=1.0)})


@pytest.fixture
def cpu():
    """An x86 CPU with VNNI, whatever machine this is."""
    return replace(get_target("cpu-x86"), reduce_range=False)


@pytest.fixture
def narrow():
    """An x86 CPU without VNNI: 7 bits, and no sum that saturates on any machine."""
    return replace(get_target("cpu-x86"), reduce_range=True)
