"""Graphs as other exporters write them: tf2onnx, Paddle, keras2onnx, Caffe2, and quantized ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnx_ir as ir
import pytest
from cuts import RUNNER, chosen, noise, prove, run
from nets import Net
from sardonyx.core.errors import ExpectationError, ModelError
from sardonyx.core.shapes import infer_shapes
from sardonyx.core.targets import get_target
from sardonyx.passes import CleanupPass
from sardonyx.passes.coupling import analyze, cut_classes
from sardonyx.passes.pruning import PruneOptions, prune
from sardonyx.passes.pruning.proof import TOLERANCE

OPSETS = (9, 11, 13, 17, 21)
TO_FIRST, TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]


def written_as_nodes(model: ir.Model) -> ir.Model:
    """Every weight in a Constant node."""
    for name, value in list(model.graph.initializers.items()):
        node = ir.node("Constant", [], {"value": value.const_value}, name=f"make_{name}")
        node.outputs[0].name = f"{name}_made"
        model.graph.insert_before(model.graph[0], node)
        ir.convenience.replace_all_uses_with(value, node.outputs[0])
        model.graph.initializers.pop(name)
    infer_shapes(model)
    return model


def normalized(n: Net, x: ir.Value, width: int) -> ir.Value:
    vectors = [n.floats(np.abs(n.random.standard_normal(width)) + 0.5) for _ in range(4)]
    y = n.op("BatchNormalization", x, *vectors)
    n.widths[y.name] = width
    return y


def bare_conv(n: Net, x: ir.Value, inputs: int, width: int, **attributes: object) -> ir.Value:
    y = n.op("Conv", x, n.rand(width, inputs // attributes.get("group", 1), 3, 3), pads=[1] * 4, **attributes)
    n.widths[y.name] = width
    return y


def tf2onnx(opset: int) -> ir.Model:
    """Channels last, with a Transpose on both sides of each convolution; biases added apart."""
    n = Net(("N", 8, 8, 3), opset=opset)

    def layer(x: ir.Value, inputs: int, width: int, **attributes: object) -> ir.Value:
        made = bare_conv(n, n.op("Transpose", x, perm=TO_FIRST), inputs, width, **attributes)
        return n.op("Add", n.op("Transpose", made, perm=TO_LAST), n.rand(width))

    a = n.op("Relu", layer(n.x, 3, 8))
    b = n.clip(layer(a, 8, 8, group=8), 0.0, 6.0)
    c = n.op("Add", a, layer(b, 8, 8))
    left, right = n.split(c, 4, 4, axis=3)
    joined = n.op("Concat", n.op("Sigmoid", right), left, axis=3)
    mean = n.mean(n.op("LeakyRelu", layer(joined, 8, 12), alpha=0.2), 1, 2, keepdims=0)
    hidden = n.op("Relu", n.op("Add", n.op("MatMul", mean, n.rand(12, 10)), n.rand(10)))
    scores = n.op("Add", n.op("MatMul", hidden, n.rand(10, 5)), n.rand(5))
    return written_as_nodes(n.model(n.op("Softmax", scores, axis=1)))


def paddle(opset: int) -> ir.Model:
    """Normalisation kept, hard-swish written out, sizes read from the graph."""
    n = Net(opset=opset)

    def swish(x: ir.Value) -> ir.Value:
        lifted = n.clip(n.op("Add", x, n.floats([3.0])), 0.0, 6.0)
        y = n.op("Div", n.op("Mul", x, lifted), n.floats([6.0]))
        n.widths[y.name] = n.widths[x.name]
        return y

    a = swish(normalized(n, bare_conv(n, n.x, 3, 8, strides=[2, 2]), 8))
    b = normalized(n, bare_conv(n, a, 8, 8, group=8), 8)
    pooled = n.act("GlobalAveragePool", b)
    gate = n.act("HardSigmoid", n.conv(n.relu(n.conv(pooled, 4, k=1)), 8, k=1), alpha=0.2, beta=0.5)
    c = swish(normalized(n, bare_conv(n, n.op("Mul", b, gate), 8, 12), 12))
    last = n.op("AveragePool", c, kernel_shape=[4, 4])
    batch = n.slice(n.op("Shape", last), 0, 1, axis=0)
    flat = n.op("Reshape", last, n.op("Concat", batch, n.ints(-1), axis=0))
    kept = n.op("Dropout", n.op("Identity", flat))
    scores = n.op("Add", n.op("MatMul", kept, n.rand(12, 5)), n.rand(5))
    return n.model(n.op("Add", n.op("Mul", scores, n.floats([1.5])), n.floats([0.1])))


def keras2onnx(opset: int) -> ir.Model:
    """Padding before the convolution, up-sampling, axes squeezed and added again, a flattened head."""
    n = Net(("N", 8, 8, 3), opset=opset)
    first = n.op("Transpose", n.x, perm=TO_FIRST)
    padded = n.pad(first, 0, 0, 1, 1, 0, 0, 1, 1)
    a = n.op("Conv", padded, n.rand(8, 3, 3, 3), n.rand(8), strides=[2, 2])
    a = normalized(n, n.op("Elu", a), 8)
    wide = upsampled(n, n.clip(n.op("Relu", a), 0.0, 6.0))
    n.widths[wide.name] = 8
    b = n.op("MaxPool", n.relu(bare_conv(n, wide, 8, 6)), kernel_shape=[2, 2], strides=[2, 2])
    again = n.squeeze(n.op("Tanh", n.unsqueeze(b, 1)), 1)
    last = n.op("Transpose", again, perm=TO_LAST)
    flat = n.op("Reshape", last, n.ints(-1, 96))
    hidden = n.op("Relu", n.op("Gemm", flat, n.rand(96, 10), n.rand(10)))
    return n.model(n.op("Gemm", hidden, n.rand(10, 5), n.rand(5)))


def upsampled(n: Net, x: ir.Value) -> ir.Value:
    scales = n.const(np.asarray([1, 1, 2, 2], np.float32))
    if n.opset < 10:
        return n.op("Upsample", x, scales, mode="nearest")
    inputs = [scales] if n.opset < 11 else [n.const(np.zeros(0, np.float32)), scales]
    return n.op("Resize", x, *inputs, mode="nearest")


def caffe2(opset: int) -> ir.Model:
    """The format's version 3: weights among the inputs; Sum joins, Flatten, LRN, a transposed convolution in groups."""
    n = Net(opset=opset)
    a = n.relu(normalized(n, bare_conv(n, n.x, 3, 8), 8))
    b = n.op("Sum", a, bare_conv(n, n.relu(bare_conv(n, a, 8, 12)), 12, 8))
    c = n.op("ConvTranspose", b, n.rand(8, 4, 2, 2), n.rand(8), group=2, strides=[2, 2])
    d = n.relu(bare_conv(n, c, 8, 6, strides=[2, 2]))
    pooled = n.op("MaxPool", d, kernel_shape=[2, 2], strides=[2, 2])
    hidden = n.op("Gemm", n.op("Flatten", pooled), n.rand(10, 96), n.rand(10), transB=1)
    model = n.model(n.op("Gemm", n.op("Relu", hidden), n.rand(5, 10), n.rand(5), transB=1))
    model.ir_version = 3
    model.graph.inputs.extend(model.graph.initializers.values())
    return model


def half(opset: int) -> ir.Model:
    """Weights and activations of two bytes."""
    n = Net(opset=opset, dtype=ir.DataType.FLOAT16)
    a = n.relu(normalized(n, bare_conv(n, n.x, 3, 8), 8))
    b = n.relu(n.add(a, n.conv(n.relu(n.conv(a, 12)), 8)))
    return n.model(n.head(n.relu(n.conv(b, 8, group=2))))


def integers(n: Net, *shape: int) -> ir.Value:
    return n.const(n.random.integers(-63, 64, shape).astype(np.int8))


def dequantized(opset: int) -> ir.Model:
    """Weights of eight bits with a scale for each channel, or one for all."""
    n = Net(opset=opset)

    def layer(x: ir.Value, inputs: int, width: int, *, per_channel: bool) -> ir.Value:
        size = (width,) if per_channel else ()
        scales = n.floats(np.full(size, 0.02 / inputs**0.5) * n.random.uniform(0.5, 1.5, size))
        zeros, axis = n.const(np.zeros(size, np.int8)), {"axis": 0} if per_channel else {}
        weight = n.op("DequantizeLinear", integers(n, width, inputs, 3, 3), scales, zeros, **axis)
        y = n.op("Conv", x, weight, n.rand(width), pads=[1] * 4)
        n.widths[y.name] = width
        return n.relu(y)

    a = layer(n.x, 3, 8, per_channel=True)
    return n.model(n.head(layer(layer(a, 8, 12, per_channel=False), 12, 6, per_channel=True)))


def quantized(opset: int) -> ir.Model:
    """Integers from end to end, as ``QLinearConv``."""
    n = Net(opset=opset)
    scale, zero = n.const(np.float32(0.05)), n.const(np.uint8(128))

    def layer(x: ir.Value, inputs: int, width: int, group: int = 1) -> ir.Value:
        weight = integers(n, width, inputs // group, 3, 3)
        scales = n.floats(n.random.uniform(0.5, 1.5, width) * 0.02 / (inputs // group) ** 0.5)
        bias = n.const(n.random.integers(-500, 500, width).astype(np.int32))
        zeros = n.const(np.zeros(width, np.int8))
        parts = (x, scale, zero, weight, scales, zeros, scale, zero, bias)
        return n.op("QLinearConv", *parts, pads=[1] * 4, group=group)

    a = layer(n.op("QuantizeLinear", n.x, scale, zero), 3, 8)
    b = layer(layer(a, 8, 8, group=8), 8, 6)
    out = n.op("DequantizeLinear", b, scale, zero)
    n.widths[out.name] = 6
    return n.model(n.head(out))


CASES: dict[Callable[[int], ir.Model], tuple[int, ...]] = {
    tf2onnx: OPSETS,
    paddle: OPSETS,
    keras2onnx: (9, 10, 11, 13, 17, 21),
    caffe2: (8, 9),
    half: (11, 13, 18),
    dequantized: (13, 21),
    quantized: (10, 13, 21),
}


def cases() -> Iterator[object]:
    for build, opsets in CASES.items():
        for opset in opsets:
            yield pytest.param(build, opset, id=f"{build.__name__}-{opset}")


def cleaned(build: Callable[[int], ir.Model], opset: int) -> ir.Model:
    model = build(opset)
    CleanupPass()(model)
    return model


FREE = {
    "tf2onnx": [4, 4, 10, 12],
    "paddle": [4, 8, 12],
    "keras2onnx": [6, 8, 10],
    "caffe2": [4, 4, 6, 10, 12],
    "half": [4, 4, 12],
    "dequantized": [6, 8, 12],
    "quantized": [6, 8],
}
"""The groups that may be cut."""


@pytest.mark.parametrize(("build", "opset"), list(cases()))
def test_half_of_every_group_goes_and_equals_the_masked_original(
    build: Callable[[int], ir.Model], opset: int
) -> None:
    model = cleaned(build, opset)
    coupling = analyze(model)
    assert sorted(g.size for g in coupling.groups) == FREE[build.__name__]
    assert {g.frozen.code for g in coupling.frozen} <= {"graph-input", "graph-output"}
    proof = prove(model, chosen(model, 0.5))
    assert proof.largest_difference <= TOLERANCE[model.graph.inputs[0].dtype.numpy()]


@pytest.mark.parametrize(("build", "opset"), list(cases()))
def test_cleaning_up_leaves_the_outputs_alone(build: Callable[[int], ir.Model], opset: int) -> None:
    model = build(opset)
    tolerance = TOLERANCE[model.graph.inputs[0].dtype.numpy()]
    expected, got = run(model), run(cleaned(build, opset))
    assert np.abs(expected - got).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize(("build", "opset"), list(cases()))
def test_pruning_with_samples_reaches_the_budget(build: Callable[[int], ir.Model], opset: int) -> None:
    model = cleaned(build, opset)
    options = PruneOptions(ratio=0.5, align=1, steps=2)
    outcome = prune(model, noise(model, 32), options, target=get_target("cpu-x86"), runner=RUNNER)
    assert outcome.report.proof.largest_difference <= outcome.report.proof.tolerance
    assert [
        (p.width_before, p.width_after) for p in outcome.report.plan if 2 * p.width_after > p.width_before
    ] == []


def test_weights_that_callers_may_replace_stay_inputs() -> None:
    model = caffe2(9)
    count = len(model.graph.inputs)
    model.ir_version = 4
    CleanupPass()(model)
    assert len(model.graph.inputs) == count


@pytest.mark.parametrize(("kind", "attributes"), [("Softmax", {"axis": 1}), ("CumSum", {})])
def test_where_every_neuron_is_frozen_pruning_says_why(kind: str, attributes: dict[str, int]) -> None:
    n = Net(opset=11)
    axis = [] if attributes else [n.const(np.asarray(1, np.int64))]
    made = n.op(kind, bare_conv(n, n.x, 3, 8), *axis, **attributes)
    n.widths[made.name] = 8
    options = PruneOptions(ratio=0.5, criterion="magnitude", compensate=False)
    with pytest.raises(ExpectationError, match=f"no group of neurons may be cut.*{kind}"):
        prune(n.model(n.head(made)), None, options, target=get_target("cpu-x86"))


def test_a_scale_for_each_block_of_a_weight_is_not_cut_through() -> None:
    n = Net(("N", 8), opset=21)
    scales = n.rand(2, 6)
    weight = n.op(
        "DequantizeLinear",
        integers(n, 8, 6),
        scales,
        n.const(np.zeros((2, 6), np.int8)),
        axis=0,
        block_size=4,
    )
    hidden = n.op("Relu", n.op("MatMul", n.op("MatMul", n.x, n.rand(8, 8)), weight))
    model = n.model(n.op("MatMul", hidden, n.rand(6, 5)))
    coupling = analyze(model)
    blocked = next(g for g in coupling.frozen if g.frozen.code == "blocked")
    with pytest.raises(ModelError, match="blocks of this axis"):
        cut_classes(model, coupling, blocked.classes[:1])
    assert [g.size for g in coupling.groups] == [6]
    assert prove(model, chosen(model, 0.5)).largest_difference <= 1e-5
