"""float16 as hardware does it, on a CPU: float32 arithmetic with every result rounded to float16.

ONNX Runtime's CPU provider has few float16 kernels; it runs the others in float32 and keeps what lies between two
of them in float32 as well, so that overflows and rounding of the real hardware do not show. Here every value that
is float16 in the model goes through float16 and back.
"""

from __future__ import annotations

import onnx_ir as ir

from .retyping import Retyping, prepared, retype


def emulate_float16(model: ir.Model) -> ir.Model:
    """Rewrite a model so that float32 kernels compute what float16 hardware would, sums in float32.

    Args:
        model: A model with float16 values; left as it is.

    Returns:
        A model with the same inputs and outputs.

    Raises:
        ModelError: The graph contradicts itself, or the type of a value is not known.
    """
    result = prepared(model)
    halves = [
        value
        for node in ir.traversal.RecursiveGraphIterator(result.graph)
        for value in node.outputs
        if value.dtype == ir.DataType.FLOAT16 and isinstance(value.type, ir.TensorType)
    ]
    retype(result, Retyping(frozenset({ir.DataType.FLOAT16}), ir.DataType.FLOAT, lambda _: True))
    for value in halves:
        if value.dtype == ir.DataType.FLOAT:
            _round(value)
    return result


def _round(value: ir.Value) -> None:
    """Let all who read a value read it rounded."""
    node = value.producer()
    assert node is not None
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    down = ir.node("Cast", [value], attributes={"to": ir.DataType.FLOAT16.value})
    up = ir.node("Cast", [down.outputs[0]], attributes={"to": ir.DataType.FLOAT.value})
    for cast, kind, word in ((down, ir.DataType.FLOAT16, "half"), (up, ir.DataType.FLOAT, "rounded")):
        cast.outputs[0].name, cast.name = f"{value.name}/{word}", f"{value.name}/{word}_cast"
        cast.outputs[0].shape, cast.outputs[0].type = value.shape, ir.TensorType(kind)
    if value.is_graph_output():
        _swap_names(value, up.outputs[0])
    ir.convenience.replace_all_uses_with(value, up.outputs[0], replace_graph_outputs=True)
    down.replace_input_with(0, value)
    graph.insert_after(node, [down, up])


def _swap_names(first: ir.Value, second: ir.Value) -> None:
    name, first.name = first.name, second.name
    second.name = name
