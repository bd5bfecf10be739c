"""Recurrent layers: a hidden unit goes from every gate, and from both directions alike."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from ..emitter import Contraction, Emitter, FreezeError

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
"""Blocks of gates along the second axis of the weights; ``B`` has twice as many."""

_PEEPHOLES = 3


def recurrent(node: ir.Node, e: Emitter, option: int) -> None:
    """``X[2] ~ W[2]``; a hidden unit is an index of ``R[2]`` and of each gate's block in ``W``, ``R``, ``B``, ``P``.

    The unit's own state is read through ``R[2]``, by the layer itself; ``Y``, ``Y_h``, ``Y_c`` and the first states
    carry it on their last axis.
    """
    source, weight, recurrence = e.need(0), e.need(1), e.need(2)
    e.tie_axes(source, 2, weight, 2)
    e.contract(Contraction(node, source, 2, weight, 2))
    hidden = e.ids(recurrence, 2)
    if hidden is None:
        raise FreezeError("dynamic", "the number of hidden units is unknown")
    for value, axis, blocks in _carriers(node, e):
        ids = e.ids(value, axis)
        if ids is None or len(ids) != blocks * len(hidden):
            raise FreezeError("shape-mismatch", f"{value.name} does not fit the hidden units")
        for block in ids.reshape(blocks, -1):
            e.tie(block, hidden)
    e.contract(Contraction(node, recurrence, 2))
    states = node.outputs[0] if node.outputs[0].name else None
    if states is not None:  # what R meets is what the layer hands out, one step later
        e.contract(Contraction(node, states, 3, recurrence, 2))
    weights = [v for v in (weight, recurrence, e.input(3), e.input(7)) if v is not None]
    for value, axes in (
        *((v, range(1)) for v in weights),
        *((v, range(len(e.dims(v)) - 1)) for v in (source, *node.outputs) if v.name),
    ):
        for axis in axes:
            e.pin_axis(value, axis, "steps", "steps, samples and directions stay")


def _carriers(node: ir.Node, e: Emitter) -> Iterator[tuple[ir.Value, int, int]]:
    """Every axis that holds hidden units, and in how many blocks."""
    gates = GATES[node.op_type]
    yield e.need(1), 1, gates
    yield e.need(2), 1, gates
    bias = e.input(3)
    if bias is not None:
        yield bias, 1, 2 * gates
    for index, axis, blocks in ((5, 2, 1), (6, 2, 1), (7, 1, _PEEPHOLES)):
        value = e.input(index)
        if value is not None:
            yield value, axis, blocks
    for output in node.outputs:
        if output.name:
            yield output, len(e.dims(output)) - 1, 1
