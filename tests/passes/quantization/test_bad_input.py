"""Inputs that say little or lie: what is written stays usable, and what is refused stays as it was."""

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import DataError, InputError
from sardonyx.core.targets import get_target
from sardonyx.passes.quantization import METHODS, QuantizeOptions, quantize, refuse_quantized
from sardonyx.passes.quantization.preparation import QUANTIZED_OPS

TARGETS = ("cpu-x86", "cpu-arm64", "tensorrt", "qnn")
DULL = {
    "zeros": np.zeros(6),
    "ones": np.ones(6),
    "denormal": np.full(6, 1e-42),
    "floor": np.linspace(-1e-20, 1e-20, 6),
    "huge": np.linspace(-1e34, 1e34, 6),
    "one of a kind": np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1e20]),
    "both ends": np.array([-1e30, 1e-30, 0.0, 0.0, 1e-30, 1e30]),
}


def samples(levels):
    """One sample for each level, which all its elements have."""
    shape = (len(levels), 16, 12, 12)
    return CalibrationData.from_arrays(
        {"x": np.broadcast_to(levels.astype(np.float32)[:, None, None, None], shape).copy()}
    )


def stored(model):
    return {name: value.const_value.numpy() for name, value in model.graph.initializers.items()}


def content(model):
    return ir.to_proto(model).SerializeToString(deterministic=True)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("levels", DULL.values(), ids=DULL)
def test_every_scale_is_finite_and_above_zero(cnn, target, levels):
    for method in METHODS:
        options = QuantizeOptions(method=method, error_samples=0)
        model = quantize(cnn, samples(levels), options, target=get_target(target)).model
        held = stored(model)
        pairs = [n.inputs for n in model.graph if n.op_type in {"QuantizeLinear", "DequantizeLinear"}]
        assert len(pairs) > 8
        for _, scale, *zero in pairs:
            assert held[scale.name].dtype == np.float32
            assert np.isfinite(held[scale.name]).all()
            assert (held[scale.name] > 0).all()
            assert all(z.name in held for z in zero)


def test_what_is_always_zero_is_listed_and_disturbs_nothing_else(cnn, images, cpu):
    before = quantize(cnn, images, target=cpu).report
    assert before.details["constant_tensors"] == []
    for name, shape in {"w1": (32, 16, 3, 3), "b1": (32,)}.items():
        cnn.graph.initializers[name].const_value = ir.tensor(np.zeros(shape, np.float32), name=name)
    after = quantize(cnn, images, target=cpu)
    assert after.report.details["constant_tensors"] == ["r"]
    scales = [{t.value: t.scale for t in report.tensors} for report in (before, after.report)]
    assert scales[1]["r"] == pytest.approx(1 / 255)
    assert scales[1]["x"] == scales[0]["x"]
    floored = {w.node: w.floored_channels for w in after.report.weights if w.floored_channels}
    assert floored == {"Conv_0": 32}
    assert (stored(after.model)["w1_scale"] > 0).all()


@pytest.mark.parametrize("where", ["main", "branch"])
@pytest.mark.parametrize("op", sorted(QUANTIZED_OPS | {"QLinearConv", "QLinearAnything"}))
def test_any_quantized_operator_is_refused_wherever_it_is(op, where):
    x = ir.val("x", ir.DataType.FLOAT, [4])
    node = ir.node(op, [x], name="n")
    nodes = [node]
    if where == "branch":
        empty = ir.node("Identity", [x])
        graphs = [ir.Graph([], n.outputs, nodes=[n], name=n.op_type) for n in (node, empty)]
        nodes = [ir.node("If", [x], {"then_branch": graphs[0], "else_branch": graphs[1]})]
    model = ir.Model(ir.Graph([x], nodes[0].outputs, nodes=nodes, opset_imports={"": 17}), ir_version=9)
    with pytest.raises(InputError, match=rf"quantized already \({op} 'n'\)"):
        refuse_quantized(model, force=False)
    refuse_quantized(model, force=True)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.zeros((4, 16, 12), np.float32)}, "each sample is 16x12"),
        ({"x": np.zeros((4, 16, 12, 12), np.int64)}, "int64 is given"),
        ({"x": np.zeros((4, 16, 12, 12), np.float32), "z": np.zeros(4)}, "extra 'z'"),
        ({"x": np.full((4, 16, 12, 12), np.nan, np.float32)}, "batch 0: input 'x' holds NaN"),
    ],
)
def test_a_refusal_leaves_the_model_as_it_was(cnn, cpu, arrays, words):
    before = content(cnn)
    with pytest.raises(DataError, match=words):
        quantize(cnn, CalibrationData.from_arrays(arrays), target=cpu)
    assert content(cnn) == before


@pytest.mark.parametrize("batch_size", [1, 3, 16, 64])
def test_how_samples_are_batched_changes_no_scale(cnn, images, cpu, batch_size):
    options = QuantizeOptions(method="percentile", error_samples=0, keep_statistics=False)
    expected = quantize(cnn, images, options, target=cpu).report
    found = quantize(cnn, images, replace(options, batch_size=batch_size), target=cpu).report
    assert [t.scale for t in found.tensors] == pytest.approx([t.scale for t in expected.tensors], rel=1e-6)
