"""Sizes of a model by its message alone: counted in the bytes, and by the textbook's formula of each layer."""

from __future__ import annotations

import math

import onnx

Sizes = dict[str, list[int]]


def params_of(model: onnx.ModelProto) -> tuple[int, int]:
    """Elements of all float weights, and bytes of all weights."""
    tensors = model.graph.initializer
    floats = [t for t in tensors if t.data_type == onnx.TensorProto.FLOAT]
    return sum(len(t.raw_data) // 4 for t in floats), sum(len(t.raw_data) for t in tensors)


def macs_of(model: onnx.ModelProto) -> int:
    """Multiply-accumulates for one sample, or for the batch that the model insists on."""
    sizes = _sizes(model)
    return sum(_macs(node, sizes) for node in model.graph.node)


def _sizes(model: onnx.ModelProto) -> Sizes:
    """The shape of every value; a batch is one sample."""
    single = onnx.ModelProto()
    single.CopyFrom(model)
    del single.graph.value_info[:]
    for value in single.graph.output:
        value.type.tensor_type.ClearField("shape")
    for value in single.graph.input:
        dim = value.type.tensor_type.shape.dim[0]
        dim.dim_value = dim.dim_value or 1
    graph = onnx.shape_inference.infer_shapes(single, data_prop=True).graph
    known = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*graph.input, *graph.value_info, *graph.output)
    }
    return known | {t.name: list(t.dims) for t in graph.initializer}


def _macs(node: onnx.NodeProto, sizes: Sizes) -> int:
    given = [sizes.get(name, []) for name in node.input]
    options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    match node.op_type:
        case "Conv":
            return _convolution(given, options)
        case "ConvTranspose":
            (batch, _, *image), (channels, lanes, *kernel) = given[0], given[1]
            return batch * channels * lanes * math.prod(image) * math.prod(kernel)
        case "Gemm":
            rows, inner = given[0][:: -1 if options.get("transA") else 1]
            return rows * inner * given[1][0 if options.get("transB") else 1]
        case "MatMul":
            stack = math.prod(max(a, b) for a, b in _aligned(given[0][:-2], given[1][:-2]))
            return stack * given[0][-2] * given[0][-1] * given[1][-1]
        case "Einsum":
            terms = options["equation"].decode().split("->")[0].split(",")
            letters = {
                n: d for term, dims in zip(terms, given, strict=True) for n, d in zip(term, dims, strict=True)
            }
            return math.prod(letters.values())
        case "LSTM" | "GRU":
            steps, batch, width = given[0]
            gates, hidden = (4 if node.op_type == "LSTM" else 3), options["hidden_size"]
            return steps * batch * given[1][0] * gates * hidden * (width + hidden)
    return 0


def _convolution(given: list[list[int]], options: dict[str, object]) -> int:
    (batch, channels, *image), (width, _, *kernel) = given[0], given[1]
    pads, strides = options.get("pads", [0] * 2 * len(kernel)), options.get("strides", [1] * len(kernel))
    half = len(kernel)
    places = [
        (size + pads[i] + pads[i + half] - k) // strides[i] + 1
        for i, (size, k) in enumerate(zip(image, kernel, strict=True))
    ]
    per_place = channels // options.get("group", 1) * math.prod(kernel)
    return batch * width * math.prod(places) * per_place


def _aligned(a: list[int], b: list[int]) -> list[tuple[int, int]]:
    rank = max(len(a), len(b))
    return list(zip([1] * (rank - len(a)) + a, [1] * (rank - len(b)) + b, strict=True))
