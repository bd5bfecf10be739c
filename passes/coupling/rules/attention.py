"""Fused attention: whole heads go, from queries, keys, values and what reads the result."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ..emitter import Contraction, Emitter, FreezeError
from ..space import Ids

Table = npt.NDArray[np.int64]
"""Ids in rows, one row a head: shape ``(heads, lanes of a head)``."""


def attention(node: ir.Node, e: Emitter, option: int) -> None:
    """``com.microsoft.Attention``: one packed weight ``(input, q | k | v)``; heads are cut whole.

    The scale follows the size of a head, which stays.
    """
    source, weight, output = e.need(0), e.need(1), node.outputs[0]
    heads = _heads(node, "num_heads")
    _refuse(node, e, {"past": 4, "attention_bias": 5, "past_sequence_length": 6})
    e.tie_axes(source, 2, weight, 0)
    e.contract(Contraction(node, source, 2, weight, 0))
    columns = e.ids(weight, 1)
    if columns is None:
        raise FreezeError("dynamic", "the packed weight's size is unknown")
    given = node.attributes.get("qkv_hidden_sizes")
    sizes = list(given.as_ints()) if given is not None else [len(columns) // 3] * 3
    if sum(sizes) != len(columns):
        raise FreezeError("shape-mismatch", "the packed weight does not hold queries, keys and values")
    bias = e.input(2)
    if bias is not None:
        e.tie_axes(weight, 1, bias, 0)
    _tie_heads(e, heads, [*np.split(columns, np.cumsum(sizes)[:2]), _lanes(e, output, 2)])
    _tie_rows(e, source, output)


def multi_head_attention(node: ir.Node, e: Emitter, option: int) -> None:
    """``com.microsoft.MultiHeadAttention``: queries, keys and values apart, ``(batch, tokens, heads * lanes)``."""
    heads = _heads(node, "num_heads")
    _refuse(node, e, {"attention_bias": 5, "past_key": 6, "past_value": 7})
    values = [e.input(index) for index in range(3)]
    if any(v is None or len(e.dims(v)) != 3 for v in values):
        raise FreezeError("packed", "packed or split queries, keys and values are not followed")
    parts = [_lanes(e, v, 2) for v in values if v is not None]
    bias = e.input(3)
    if bias is not None:
        pieces = np.split(_lanes(e, bias, 0), np.cumsum([len(p) for p in parts])[:2])
        for piece, part in zip(pieces, parts, strict=True):
            e.tie(piece, part)
    _tie_heads(e, heads, [*parts, _lanes(e, node.outputs[0], 2)])
    _tie_rows(e, e.need(0), node.outputs[0])
    _pin_tokens(e, [v for v in values[1:] if v is not None])


def attention_onnx(node: ir.Node, e: Emitter, option: int) -> None:
    """``Attention`` of opset 23: ``(batch, tokens, heads * lanes)``, or ``(batch, heads, tokens, lanes)``.

    With as many query as key heads; otherwise everything is frozen.
    """
    _refuse(node, e, {"attn_mask": 3, "past_key": 4, "past_value": 5})
    q, k, v, output = (*(e.need(index) for index in range(3)), node.outputs[0])
    if len(e.dims(q)) == 3:
        heads, others = _heads(node, "q_num_heads"), _heads(node, "kv_num_heads")
        if heads != others:
            raise FreezeError("grouped-queries", "several query heads share one of keys and values")
        _tie_heads(e, heads, [_lanes(e, value, 2) for value in (q, k, v, output)])
    else:
        for value in (k, v, output):
            e.tie_axes(q, 1, value, 1)
        for value in (q, k, v, output):
            e.pin_axis(value, 3, "head-size", "the scale follows the size of a head")
    _tie_rows(e, q, output)
    _pin_tokens(e, [q, k, v])


def _heads(node: ir.Node, name: str) -> int:
    heads = node.attributes.get_int(name, 0)
    if heads < 1:
        raise FreezeError("malformed", f"{name} is missing")
    return heads


def _refuse(node: ir.Node, e: Emitter, inputs: dict[str, int]) -> None:
    """Freeze where an input is used whose heads are not followed."""
    for name, index in inputs.items():
        if e.input(index) is not None:
            raise FreezeError("unsupported-input", f"the input {name} is not followed")
    if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        raise FreezeError("unsupported-output", "its present keys and values are used")


def _lanes(e: Emitter, value: ir.Value, axis: int) -> Ids:
    ids = e.ids(value, axis)
    if ids is None:
        raise FreezeError("dynamic", f"the size of {value.name} is unknown")
    return ids


def _tie_heads(e: Emitter, heads: int, parts: list[Ids]) -> None:
    """Every lane of a head, in every part, goes with the head's first query lane."""
    if any(len(part) % heads for part in parts):
        raise FreezeError("uneven-heads", "the lanes do not divide into the heads")
    tables: list[Table] = [part.reshape(heads, -1) for part in parts]
    for table in tables:
        for column in range(table.shape[1]):
            e.tie(table[:, column], tables[0][:, 0])


def _tie_rows(e: Emitter, source: ir.Value, output: ir.Value) -> None:
    e.tie_axes(source, 0, output, 0)
    e.pin_axis(source, 1, "tokens", "every token looks at every other")
    e.pin_axis(output, 1, "tokens", "every token looks at every other")


def _pin_tokens(e: Emitter, values: list[ir.Value]) -> None:
    for value in values:
        e.pin_axis(value, len(e.dims(value)) - 2, "tokens", "every token looks at every other")
