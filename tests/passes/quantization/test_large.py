"""Models beyond the 2 GB that one protobuf message holds, weights in a file beside the model."""

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import LimitError
from sardonyx.core.serialize import PROTOBUF_LIMIT_BYTES, model_bytes
from sardonyx.core.targets import get_target
from sardonyx.passes.quantization import WeightOnlyOptions, quantize, quantize_weights
from sardonyx.passes.quantization.dynamic import quantize_dynamic

WIDTH, LAYERS, ROWS = 8192, 9, 256


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Nine layers of 268 MB each; all rows but the first are holes in the file."""
    path = tmp_path_factory.mktemp("large")
    random = np.random.default_rng(0)
    size = WIDTH * WIDTH * 4
    with (path / "weights").open("wb") as file:
        for index in range(LAYERS):
            file.seek(index * size)
            file.write((random.standard_normal((ROWS, WIDTH)) / ROWS**0.5).astype("f4").tobytes())
        file.truncate(LAYERS * size)
    x = ir.val("x", ir.DataType.FLOAT, ["N", WIDTH])
    value, nodes, weights = x, [], []
    for index in range(LAYERS):
        shape = ir.Shape([WIDTH, WIDTH])
        tensor = ir.ExternalTensor(
            "weights", index * size, size, ir.DataType.FLOAT, shape=shape, name=f"w{index}", base_dir=path
        )
        weights.append(ir.val(f"w{index}", const_value=tensor))
        nodes.append(ir.node("MatMul", [value, weights[-1]], name=f"layer{index}"))
        value = nodes[-1].outputs[0]
        value.name = f"h{index}"
    value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(["N", WIDTH])
    graph = ir.Graph([x], [value], nodes=nodes, initializers=weights, opset_imports={"": 17}, name="large")
    return ir.Model(graph, ir_version=8)


@pytest.fixture(scope="module")
def rows():
    """Two samples."""
    return CalibrationData.from_arrays({"x": np.random.default_rng(1).standard_normal((2, WIDTH), "f4")})


@pytest.mark.slow
def test_it_is_beyond_the_limit(large):
    with pytest.raises(LimitError):
        model_bytes(large)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["weights", "dynamic", "static"])
def test_every_way_takes_it(large, rows, how):
    if how == "weights":
        report = quantize_weights(large, WeightOnlyOptions(), rows).report
        assert report.output_errors[f"h{LAYERS - 1}"] < 0.5
    elif how == "dynamic":
        report = quantize_dynamic(large, target=get_target("cpu-x86"), data=rows).report
        assert report.output_errors[f"h{LAYERS - 1}"] < 0.3
    else:
        report = quantize(large, rows, target=get_target("cpu-x86")).report
    assert len(report.applied) == LAYERS
    assert report.before.size_bytes > PROTOBUF_LIMIT_BYTES > report.after.size_bytes
