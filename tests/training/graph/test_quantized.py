"""Quantized graphs: exact values forwards, gradients as if nothing had been rounded."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from nets import Net
from sardonyx.calib_data import OrtRunner
from sardonyx.core.errors import ModelError
from sardonyx.training.graph import TrainableGraph


def quantized(
    n: Net, x: ir.Value, scale: np.ndarray | float, zero: np.ndarray, **attributes: object
) -> ir.Value:
    """A pair of QuantizeLinear and DequantizeLinear."""
    numbers = n.floats(scale), n.const(zero)
    return n.op("DequantizeLinear", n.op("QuantizeLinear", x, *numbers, **attributes), *numbers, **attributes)


def convolution() -> ir.Model:
    """Input in uint8 for all, weight in int8 for each output channel."""
    n = Net(("N", 3, 6, 6))
    weight = n.rand(4, 3, 3, 3)
    scales = np.abs(weight.const_value.numpy()).max((1, 2, 3)) / 127
    x = quantized(n, n.x, 0.03, np.uint8(120))
    w = quantized(n, weight, scales, np.zeros(4, np.int8), axis=0)
    return n.model(quantized(n, n.op("Conv", x, w, n.rand(4)), 0.05, np.uint8(128)))


def batch() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((5, 3, 6, 6)).astype("f4") * 2


def test_values_are_those_of_the_runtime() -> None:
    model = convolution()
    name = model.graph.outputs[0].name
    (expected,) = OrtRunner(threads=1).run(model, [{"x": batch()}], [name])
    got = TrainableGraph(model)(torch.from_numpy(batch())).detach().numpy()
    steps = np.abs(got - expected[name]) / 0.05
    assert steps.max() < 1.01
    assert (steps > 0.01).mean() < 0.001


def test_scales_are_trained_where_asked() -> None:
    assert set(TrainableGraph(convolution()).initializer_names.values()) == {"w0", "w5"}


def test_weights_learn_through_rounding() -> None:
    graph = TrainableGraph(convolution(), is_trained=lambda weight: weight.tensor.size > 1)
    graph(torch.from_numpy(batch())).square().mean().backward()
    gradients = {graph.initializer_names[n]: p.grad for n, p in graph.named_parameters()}
    assert gradients["w0"].abs().max() > 0
    assert gradients["w3"].shape == (4,)


def test_gradients_pass_where_nothing_saturates_and_teach_the_scale() -> None:
    n = Net(("N", 2))
    scale, zero = n.const(np.array([0.5], "f4")), n.const(np.array(0, np.int8))
    pair = n.op("DequantizeLinear", n.op("QuantizeLinear", n.x, scale, zero), scale, zero)
    graph = TrainableGraph(n.model(pair), is_trained=lambda weight: weight.name == "w0")
    x = torch.tensor([[0.6, 900.0]], requires_grad=True)
    graph(x).sum().backward()
    assert x.grad.tolist() == [[1.0, 0.0]]
    (learned,) = graph.parameters()
    assert learned.grad.item() == pytest.approx((1 - 1.2) + 127)


@pytest.mark.parametrize(
    ("dtype", "largest"), [(ir.DataType.INT4, 7), (ir.DataType.UINT4, 15), (ir.DataType.INT16, 32767)]
)
def test_types_saturate(dtype: ir.DataType, largest: int) -> None:
    n = Net(("N", 2), opset=21)
    y = n.op("QuantizeLinear", n.x, n.floats(0.5), output_dtype=int(dtype))
    graph = TrainableGraph(n.model(n.op("DequantizeLinear", y, n.floats(0.5))))
    assert graph(torch.tensor([[1e6, 0.25]])).tolist() == [[largest * 0.5, 0.0]]


def test_what_others_read_is_of_the_stated_type() -> None:
    n = Net(("N", 2))
    y = n.op("QuantizeLinear", n.x, n.floats(0.5), n.const(np.array(3, np.uint8)))
    graph = TrainableGraph(n.model(n.op("Cast", y, to=int(ir.DataType.FLOAT))))
    assert graph.run([torch.tensor([[1.0, -9.0]])], ["v0"])["v0"].dtype == torch.uint8


def test_a_scale_without_meaning_in_torch_is_refused() -> None:
    n = Net(("N", 2), opset=23)
    y = n.op("QuantizeLinear", n.x, n.floats(0.5), output_dtype=int(ir.DataType.FLOAT8E8M0))
    y.dtype = ir.DataType.FLOAT
    model = ir.Model(
        ir.Graph([n.x], [y], nodes=n.nodes, initializers=n.weights, opset_imports={"": 23}, name="g"),
        ir_version=11,
    )
    with pytest.raises(ModelError, match="quantization to float8e8m0 is not supported"):
        TrainableGraph(model)
