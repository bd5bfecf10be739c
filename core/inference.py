"""Calling the onnx checker and strict shape inference on a message, weights left out.

Large initializers stand in as graph inputs, so that neither call copies a weight and 2 GB is no limit.
"""

from __future__ import annotations

import math

import onnx

from .errors import ModelError
from .protos import all_nodes

SMALL_ELEMENTS = 4096
"""Initializers with more elements than this cannot be shapes, and are kept from checker and inference."""


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Copy a message without the contents of large initializers of the main graph.

    Args:
        model: Left as it is, its large initializers in the message or in external data.

    Returns:
        A message in which each large initializer is a graph input of its type and shape.
    """
    graph = model.graph
    light = onnx.ModelProto(
        ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions
    )
    light.graph.name = graph.name
    light.graph.node.extend(graph.node)
    light.graph.input.extend(graph.input)
    light.graph.output.extend(graph.output)
    light.graph.value_info.extend(graph.value_info)
    listed = {value.name for value in graph.input}
    for tensor in graph.initializer:
        if _is_small(tensor):
            light.graph.initializer.append(tensor)
        elif tensor.name not in listed:
            light.graph.input.append(stand_in(tensor))
    _state_defaults(light)
    return light


def _state_defaults(model: onnx.ModelProto) -> None:
    """Write out a default that onnx's own inference of the operator cannot do without."""
    for node in all_nodes(model):
        if node.op_type == "MeanVarianceNormalization" and not node.attribute:
            node.attribute.add(name="axes", type=onnx.AttributeProto.INTS, ints=(0, 2, 3))


def stand_in(tensor: onnx.TensorProto) -> onnx.ValueInfoProto:
    """Describe a tensor as a value of its type and shape."""
    value = onnx.ValueInfoProto(name=tensor.name)
    value.type.tensor_type.elem_type = tensor.data_type
    value.type.tensor_type.shape.dim.extend(onnx.TensorShapeProto.Dimension(dim_value=d) for d in tensor.dims)
    return value


def infer_strictly(model: onnx.ModelProto) -> onnx.ModelProto:
    """Infer types and shapes, sizes computed where they can be.

    Raises:
        ModelError: Types or shapes contradict each other, or a declared shape is wrong.
    """
    try:
        return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise ModelError(
            f"shape inference failed: {error}", remedy="the graph contradicts itself; export it again"
        ) from error


def run_checker(model: onnx.ModelProto) -> None:
    """Ask the onnx checker; operators of other domains are passed over by it.

    The checker wants a shape on every input and output, the format does not: one of unknown rank is let pass.

    Args:
        model: A message without large weights; it is copied.

    Raises:
        ModelError: The checker refuses the model.
    """
    shaped = onnx.ModelProto()
    shaped.CopyFrom(model)
    for value in (*shaped.graph.input, *shaped.graph.output):
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(shaped)
    except UnicodeDecodeError:
        raise  # the file is damaged, which the caller says better
    except (onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        raise ModelError(
            f"the onnx checker refuses the model: {error}",
            remedy="export the model again with a supported opset",
        ) from error


def _is_small(tensor: onnx.TensorProto) -> bool:
    is_inside = tensor.data_location != onnx.TensorProto.EXTERNAL
    return is_inside and math.prod(tensor.dims) <= SMALL_ELEMENTS
