"""Calling the onnx checker and strict shape inference on a message, weights left out.

Large initializers stand in as graph inputs, so that neither call copies a weight and 2 GB is no limit.
"""

from __future__ import annotations

import math

import onnx

from .errors import ModelError
from .protos import all_graphs, all_nodes, label

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
    _complete(light)
    return light


def _complete(model: onnx.ModelProto) -> None:
    """Write out what onnx leaves open and then misses: names to tell nodes by, a default in its own inference."""
    for node in all_nodes(model):
        if not node.name and node.output:
            node.name = f"unnamed, makes {node.output[0][:80]}"
        if node.op_type == "MeanVarianceNormalization" and not node.attribute:
            node.attribute.add(name="axes", type=onnx.AttributeProto.INTS, ints=(0, 2, 3))


def stand_in(tensor: onnx.TensorProto) -> onnx.ValueInfoProto:
    """Describe a tensor as a value of its type and shape."""
    value = onnx.ValueInfoProto(name=tensor.name)
    value.type.tensor_type.elem_type = tensor.data_type
    value.type.tensor_type.shape.dim.extend(onnx.TensorShapeProto.Dimension(dim_value=d) for d in tensor.dims)
    return value


def infer_lengths(model: onnx.ModelProto) -> onnx.ModelProto:
    """Infer what shapes can be without computing sizes; contradictions are left for :func:`infer_strictly` to tell.

    Raises:
        ModelError: The graph cannot be followed at all.
    """
    return _inferred(model)


def infer_strictly(model: onnx.ModelProto) -> onnx.ModelProto:
    """Infer types and shapes, sizes computed where they can be.

    Raises:
        ModelError: Types or shapes contradict each other, a declared shape is wrong, or a shape that follows is one
            that nothing can hold.
    """
    found = _inferred(model, check_type=True, strict_mode=True, data_prop=True)
    _refuse_endless(found)
    return found


def _inferred(model: onnx.ModelProto, **options: bool) -> onnx.ModelProto:
    try:
        return onnx.shape_inference.infer_shapes(model, **options)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise ModelError(
            f"shape inference failed: {error}", remedy="the graph contradicts itself; export it again"
        ) from error


def _refuse_endless(model: onnx.ModelProto) -> None:
    """Refuse what no address space holds: padding by 2^30, for one, which shape inference goes along with."""
    for graph in all_graphs(model):
        for value in (*graph.value_info, *graph.output):
            dims = [d.dim_value for d in value.type.tensor_type.shape.dim if d.HasField("dim_value")]
            if math.prod(dims) >= 1 << 63:
                maker = next((n for n in graph.node if value.name in n.output), None)
                raise ModelError(
                    f"{'an input' if maker is None else label(maker)} yields {'x'.join(map(str, dims))} elements",
                    remedy="no machine holds them: look at the node's attributes, and export the model again",
                )


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
