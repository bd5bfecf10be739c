"""Matrix products."""

from __future__ import annotations

import onnx_ir as ir

from ..emitter import Contraction, Emitter, FreezeError
from .elementwise import tie_operand


def gemm(node: ir.Node, e: Emitter, option: int) -> None:
    """``A`` and ``B`` meet on the contracted axis; ``Y[1]`` follows ``B`` and ``C``; rows are the batch."""
    left, right, output = e.need(0), e.need(1), node.outputs[0]
    inner_left = 0 if node.attributes.get_int("transA", 0) else 1
    inner_right = 1 if node.attributes.get_int("transB", 0) else 0
    e.tie_axes(left, inner_left, right, inner_right)
    _contract(node, e, (left, inner_left), (right, inner_right))
    e.tie_axes(output, 0, left, 1 - inner_left)
    e.tie_axes(output, 1, right, 1 - inner_right)
    bias = e.input(2)
    if bias is not None:
        sizes = e.dims(bias)
        for axis, size in enumerate(sizes):
            tie_operand(e, bias, axis, size, output, axis + 2 - len(sizes))


def matmul(node: ir.Node, e: Emitter, option: int) -> None:
    """``A[-1] ~ B[-2]``, ``Y[-2] ~ A[-2]``, ``Y[-1] ~ B[-1]``; leading axes broadcast."""
    left, right, output = e.need(0), e.need(1), node.outputs[0]
    a, b, y = (len(e.dims(v)) for v in (left, right, output))
    if a < 2 or b < 2:
        raise FreezeError("rank-1", "a vector operand is not followed")
    e.tie_axes(left, -1, right, -2)
    _contract(node, e, (left, a - 1), (right, b - 2))
    e.tie_axes(output, -2, left, -2)
    e.tie_axes(output, -1, right, -1)
    for operand, rank in ((left, a), (right, b)):
        for axis in range(rank - 2):
            tie_operand(e, operand, axis, e.dims(operand)[axis], output, axis + y - rank)


def einsum(node: ir.Node, e: Emitter, option: int) -> None:
    """Letters are axes: equal letters go together, and those that the output lacks are summed over."""
    left, arrow, right = node.attributes.get_string("equation", "").replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow or "." in left or any(len(set(term)) < len(term) for term in (*terms, right)):
        raise FreezeError("einsum", f"the equation {left}{arrow}{right} is not followed")
    values = [e.need(index) for index in range(len(terms))]
    first: dict[str, tuple[ir.Value, int]] = {}
    for term, value in zip((*terms, right), (*values, node.outputs[0]), strict=True):
        for axis, letter in enumerate(term):
            place = first.setdefault(letter, (value, axis))
            e.tie_axes(value, axis, *place)
    for letter in sorted(set(left) - {","} - set(right)):
        places = [(v, term.index(letter)) for term, v in zip(terms, values, strict=True) if letter in term]
        _contract(node, e, places[0], places[-1])


def _contract(node: ir.Node, e: Emitter, left: tuple[ir.Value, int], right: tuple[ir.Value, int]) -> None:
    """The operand that is constant, if there is one, is the weight."""
    (value, axis), (weight, weight_axis) = left, right
    if value.const_value is not None and weight.const_value is None:
        (value, axis), (weight, weight_axis) = right, left
    constant = weight if weight.const_value is not None else None
    e.contract(Contraction(node, value, axis, constant, weight_axis))
