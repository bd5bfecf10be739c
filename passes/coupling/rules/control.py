"""Operators with bodies: If, Loop, Scan.

The nodes of a body have rules of their own, and what a body captures is the outer value itself. Here is only what
goes in and out of a body: a value has one name outside and another inside, and carries the same ids under both.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..emitter import Emitter, FreezeError

_LOOP_OWN_INPUTS = 2
"""Trip count and condition, before the states; the body takes the iteration's number and the condition."""

_FIRST_SCAN_WITHOUT_BATCH = 9


def if_(node: ir.Node, e: Emitter, option: int) -> None:
    """What a branch returns is what the node returns, in either branch."""
    for name in ("then_branch", "else_branch"):
        branch = _body(node, name)
        _expect(len(branch.outputs) == len(node.outputs), name)
        for inner, outer in zip(branch.outputs, node.outputs, strict=True):
            _tie_same(e, (inner, outer))


def loop(node: ir.Node, e: Emitter, option: int) -> None:
    """A state is the same before, inside and after; what is collected gets an axis that counts the iterations."""
    body = _body(node, "body")
    states = len(node.inputs) - _LOOP_OWN_INPUTS
    _expect(
        len(body.inputs) == states + _LOOP_OWN_INPUTS and len(body.outputs) == len(node.outputs) + 1, "body"
    )
    _tie_states(e, node.inputs[_LOOP_OWN_INPUTS:], body.inputs[_LOOP_OWN_INPUTS:], body.outputs[1:])
    for inner, outer in zip(body.outputs[1 + states :], node.outputs[states:], strict=True):
        _tie_stacked(e, inner, outer, 0)


def scan(node: ir.Node, e: Emitter, option: int) -> None:
    """As :func:`loop`; what is scanned loses its scanned axis inside.

    Raises:
        FreezeError: Operator set 8, where Scan had a batch axis of its own.
    """
    if e.opset < _FIRST_SCAN_WITHOUT_BATCH:
        raise FreezeError("scan-8", "a Scan of operator set 8 is not followed")
    body = _body(node, "body")
    scanned = node.attributes.get_int("num_scan_inputs", 0)
    states = len(node.inputs) - scanned
    _expect(len(body.inputs) == len(node.inputs) and len(body.outputs) == len(node.outputs), "body")
    _tie_states(e, node.inputs[:states], body.inputs, body.outputs)
    for index, (inner, outer) in enumerate(zip(body.inputs[states:], node.inputs[states:], strict=True)):
        _tie_stacked(e, inner, outer, _axis(node, "scan_input_axes", index))
    for index, (inner, outer) in enumerate(zip(body.outputs[states:], node.outputs[states:], strict=True)):
        _tie_stacked(e, inner, outer, _axis(node, "scan_output_axes", index))


def _tie_states(
    e: Emitter,
    initial: Sequence[ir.Value | None],
    taken: Sequence[ir.Value],
    returned: Sequence[ir.Value],
) -> None:
    for index, first in enumerate(initial):
        if first is None:
            raise FreezeError("malformed", f"the first value of state {index} is missing")
        _tie_same(e, (first, taken[index], returned[index], e.node.outputs[index]))


def _tie_same(e: Emitter, values: Sequence[ir.Value]) -> None:
    """Tie every axis of values that are one and the same; where a rank is unknown or differs, all are frozen."""
    named = [v for v in values if v.name]
    dims = [e.space.dims(v) for v in named]
    if any(d is None or len(d) != len(dims[0] or ()) for d in dims):
        for value in named:
            _pin_all(e, value)
        return
    for axis in range(len(dims[0] or ())):
        for value in named[1:]:
            e.tie_axes(named[0], axis, value, axis)


def _tie_stacked(e: Emitter, inner: ir.Value, outer: ir.Value | None, stacked: int) -> None:
    """Tie a value inside to the stack of it outside; the axis that counts the iterations holds no neurons."""
    if outer is None or not outer.name:
        return
    sizes, whole = e.space.dims(inner), e.space.dims(outer)
    if whole is None or sizes is None or len(whole) != len(sizes) + 1:
        for value in (inner, outer):
            _pin_all(e, value)
        return
    e.pin_axis(outer, stacked, "steps", "one index for each iteration")
    rest = [axis for axis in range(len(whole)) if axis != stacked % len(whole)]
    for axis, place in enumerate(rest):
        e.tie_axes(inner, axis, outer, place)


def _pin_all(e: Emitter, value: ir.Value) -> None:
    for axis, ids in e.space.all_ids(value):
        e.pin(ids, axis, "unknown-shape", f"the shape of {value.name} outside or inside the body is unknown")


def _axis(node: ir.Node, name: str, index: int) -> int:
    given = node.attributes.get(name)
    return 0 if given is None else list(given.as_ints())[index]


def _body(node: ir.Node, name: str) -> ir.Graph:
    if name not in node.attributes:
        raise FreezeError("malformed", f"{name} is missing")
    return node.attributes[name].as_graph()


def _expect(fits: bool, name: str) -> None:
    if not fits:
        raise FreezeError("malformed", f"{name} does not take or return what the node does")
