"""Operators that work on each element: unary ones, and those that broadcast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter, FreezeError


def unary(node: ir.Node, e: Emitter, option: int) -> None:
    """Input and output carry the same ids on every axis; further inputs are scalars."""
    source = e.need(0)
    for output in node.outputs:
        if output.name and len(e.dims(output)) == len(e.dims(source)):
            for axis in range(len(e.dims(source))):
                e.tie_axes(source, axis, output, axis)


def dropout(node: ir.Node, e: Emitter, option: int) -> None:
    """At inference the identity; in training what it drops is drawn anew, and differently for another size."""
    flag = e.input(2)
    held = e.constant(2)
    is_training = flag is not None and (held is None or bool(np.any(held)))
    if is_training or (e.opset < 7 and not node.attributes.get_int("is_test", 0)):
        raise FreezeError("random", "it drops elements at random")
    unary(node, e, option)


def broadcast(node: ir.Node, e: Emitter, option: int) -> None:
    """Right-aligned: an operand's axis of the output's size carries the output's ids, one of size 1 none."""
    tie_broadcast(e, [v for v in node.inputs if v is not None], node.outputs[0])


def tie_broadcast(e: Emitter, operands: Sequence[ir.Value], output: ir.Value) -> None:
    """Tie the axes of operands to those of what they broadcast to.

    Args:
        e: What is written to.
        operands: The operands.
        output: The result.

    Raises:
        FreezeError: An operand has more axes than the result.
    """
    dims = e.dims(output)
    for operand in operands:
        sizes = e.dims(operand)
        if len(sizes) > len(dims):
            raise FreezeError("shape-mismatch", "an operand has more axes than the output")
        for axis, size in enumerate(sizes):
            tie_operand(e, operand, axis, size, output, axis + len(dims) - len(sizes))


def tie_operand(
    e: Emitter, operand: ir.Value, axis: int, size: int | str | None, output: ir.Value, out_axis: int
) -> None:
    """Tie an operand's axis to the output's axis that it broadcasts to.

    Args:
        e: What is written to.
        operand: The operand.
        axis: Its axis.
        size: The size of that axis, as far as it is known.
        output: The result.
        out_axis: The result's axis.
    """
    target = e.dims(output)[out_axis]
    if size == 1 and target != 1:
        return
    if isinstance(size, int) and not isinstance(target, int):
        e.pin_axis(operand, axis, "dynamic", "broadcasts against a dynamic axis")
    elif isinstance(size, int) and size == target:
        e.tie_axes(operand, axis, output, out_axis)
    elif isinstance(target, int):
        # The operand's size is not known: it may be 1 or the output's size, and nothing says which.
        e.pin_axis(output, out_axis, "dynamic", "broadcasts from a dynamic axis")
