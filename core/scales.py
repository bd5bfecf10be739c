"""Scales of quantized values: finite and above zero, or what they scale has no meaning."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from .errors import ModelError
from .protos import all_graphs, label

_SCALES: dict[str, tuple[int, ...]] = {
    "QuantizeLinear": (1,),
    "DequantizeLinear": (1,),
    "QLinearConv": (1, 4, 6),
    "QLinearMatMul": (1, 4, 6),
    "QLinearAdd": (1, 4, 6),
    "QLinearMul": (1, 4, 6),
    "QLinearConvTranspose": (1, 4, 6),
    "QLinearSigmoid": (1, 3),
    "QLinearLeakyRelu": (1, 3),
    "QLinearSoftmax": (1, 3),
    "QLinearReduceMean": (1, 3),
    "QLinearAveragePool": (1, 3),
    "QLinearGlobalAveragePool": (1, 3),
    "QLinearWhere": (2, 5, 7),
    "QGemm": (1, 4, 7),
    "MatMulIntegerToFloat": (2, 3),
    "DynamicQuantizeMatMul": (2,),
    "DynamicQuantizeLSTM": (8, 10),
}
"""Which inputs of each operator are scales; the standard and ONNX Runtime's own domain agree on them."""

_CONCAT = "QLinearConcat"
"""Takes the scale and zero-point of its output, and then each input with its own."""

_DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})


def check_scales(model: onnx.ModelProto) -> None:
    """Refuse stored scales that are zero, negative, infinite or NaN.

    Raises:
        ModelError: Naming the node and the scale.
    """
    outer = _stored(model.graph)
    for graph in all_graphs(model):
        stored = outer if graph is model.graph else _stored(graph)
        for node in graph.node:
            if node.domain in _DOMAINS:
                for index in _scales_of(node):
                    name = node.input[index] if index < len(node.input) else ""
                    _check(node, name, stored.get(name) or outer.get(name))


def _scales_of(node: onnx.NodeProto) -> tuple[int, ...]:
    if node.op_type == _CONCAT:
        return (0, *range(3, len(node.input), 3))
    return _SCALES.get(node.op_type, ())


def _stored(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.output:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    found[node.output[0]] = attribute.t
                elif attribute.name in {"value_float", "value_floats"}:
                    numbers = attribute.f if attribute.name == "value_float" else list(attribute.floats)
                    found[node.output[0]] = numpy_helper.from_array(np.array(numbers, np.float32))
    return found


def _check(node: onnx.NodeProto, name: str, tensor: onnx.TensorProto | None) -> None:
    if tensor is None or tensor.data_location == onnx.TensorProto.EXTERNAL:
        return
    scale = numpy_helper.to_array(tensor).astype(np.float64)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ModelError(
            f"{label(node)} has the scale {name[:80]!r} that is zero, negative or not finite",
            remedy="quantize the model again from its float original",
        )
