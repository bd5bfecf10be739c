"""Attention as one operator: the standard one, those of com.microsoft, and rotary positions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import torch
from torch.nn import functional

from ..dtypes import CARRIERS
from ..plan import Kernel, NodePlan

Tensor = torch.Tensor


@dataclass(frozen=True)
class Scores:
    """How scores become weights.

    Attributes:
        scale: What the products are multiplied with; None for one over the root of the width.
        cap: Bound of a score by tanh; 0 for none.
        is_causal: Whether a query sees no key after its own place.
        left: How many keys before its place a query sees; -1 for all.
        right: How many after it.
        precision: The type of the Softmax; None for that of its input.
        tap: Which stage the fourth output shows.
    """

    scale: float | None
    cap: float
    is_causal: bool
    left: int
    right: int
    precision: torch.dtype | None
    tap: int


def attention(node: NodePlan) -> Kernel:
    """Attention of the standard (version 23 on): grouped heads, masks, caches and windows."""
    stated = node.node.attributes.get("scale")
    precision = node.integer("softmax_precision", 0)
    scores = Scores(
        scale=None if stated is None else stated.as_float(),
        cap=node.number("softcap", 0.0),
        is_causal=bool(node.integer("is_causal", 0)),
        left=node.integer("left_window_size", -1),
        right=node.integer("right_window_size", -1),
        precision=CARRIERS[ir.DataType(precision)] if precision else None,
        tap=node.integer("qk_matmul_output_mode", 0),
    )
    heads = (node.integer("q_num_heads", 0), node.integer("kv_num_heads", 0))

    def kernel(q: Tensor, k: Tensor, v: Tensor, *others: Tensor | None) -> tuple[Any, ...]:
        mask, past_k, past_v, valid = (*others, None, None, None, None)[:4]
        is_packed = q.dim() == 3
        if is_packed:
            q, k, v = (_heads(t, n) for t, n in zip((q, k, v), (heads[0], heads[1], heads[1]), strict=True))
        if past_k is not None and past_v is not None:
            k, v = torch.cat([past_k, k], 2), torch.cat([past_v, v], 2)
        first = past_k.shape[2] if past_k is not None else 0
        y, tapped = _attend(q, k, v, _bias(q, k, mask, first, valid, scores), scores)
        y = _packed(y) if is_packed else y
        return y, k, v, tapped

    return kernel


def _heads(x: Tensor, count: int) -> Tensor:
    return x.reshape(x.shape[0], x.shape[1], count, -1).transpose(1, 2)


def _packed(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def _bias(
    q: Tensor, k: Tensor, mask: Tensor | None, first: int, valid: Tensor | None, scores: Scores
) -> Tensor | None:
    """What is added to the scores: minus infinity where a query does not see a key."""
    queries, keys = q.shape[2], k.shape[2]
    seen = _visible(q, keys, first, valid, scores)
    if mask is not None and mask.shape[-1] < keys:
        fill = False if mask.dtype == torch.bool else float("-inf")
        mask = functional.pad(mask, (0, keys - mask.shape[-1]), value=fill)
    if mask is not None and mask.dtype == torch.bool:
        seen, mask = mask if seen is None else mask & seen, None
    if seen is None:
        return mask
    base = q.new_zeros(queries, keys) if mask is None else mask
    return base.masked_fill(~seen, float("-inf"))


def _visible(q: Tensor, keys: int, first: int, valid: Tensor | None, scores: Scores) -> Tensor | None:
    """Which keys a query may see for its place and the number of valid ones, ``(batch or 1, 1, queries, keys)``."""
    queries = q.shape[2]
    key = torch.arange(keys, device=q.device)
    place = torch.arange(queries, device=q.device).unsqueeze(1) + first
    if valid is not None:
        count = valid.to(q.device).reshape(-1, 1, 1, 1)
        place = place + (count - queries)
    parts = [] if valid is None else [key < count]
    last = 0 if scores.is_causal else scores.right
    last = min(last, scores.right) if scores.is_causal and scores.right >= 0 else last
    if last >= 0:
        parts.append(key <= place + last)
    if scores.left >= 0:
        parts.append(key >= place - scores.left)
    seen = None
    for part in parts:
        seen = part if seen is None else seen & part
    return seen


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scores: Scores) -> tuple[Tensor, Tensor]:
    """The outputs, and the stage that is shown."""
    groups = q.shape[1] // k.shape[1]
    if groups > 1:
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    root = math.sqrt(1.0 / math.sqrt(q.shape[-1]) if scores.scale is None else scores.scale)
    raw = (q * root) @ (k * root).transpose(-1, -2)
    capped = scores.cap * torch.tanh(raw / scores.cap) if scores.cap else raw
    shifted = capped if bias is None else capped + bias
    weights = _softmax(shifted, scores.precision, may_be_blind=bias is not None).to(v.dtype)
    return weights @ v, (raw, capped, shifted, weights)[scores.tap]


def _softmax(x: Tensor, precision: torch.dtype | None, *, may_be_blind: bool) -> Tensor:
    """Softmax over keys; a query that sees none has weights of zero."""
    weights = torch.softmax(x, -1, dtype=precision)
    if not may_be_blind:
        return weights
    blind = torch.isneginf(x).all(-1, keepdim=True)
    return torch.where(blind, torch.zeros_like(weights), weights)


def multi_head_attention(node: NodePlan) -> Kernel:
    """MultiHeadAttention of com.microsoft: separate queries, keys and values, biases, a bias of the scores."""
    if any(node.has(i) for i in (4, *range(6, 12))) or not (node.has(1) and node.has(2)):
        node.refuse("packed inputs, key masks and caches are not supported")
    heads, scores = node.integer("num_heads", 0), _plain_scores(node)

    def kernel(q: Tensor, k: Tensor, v: Tensor, *others: Tensor | None) -> tuple[Any, ...]:
        bias, _, added = (*others, None, None, None)[:3]
        if bias is not None:
            parts = torch.split(bias, [q.shape[-1], q.shape[-1], bias.shape[0] - 2 * q.shape[-1]])
            q, k, v = (
                q + parts[0],
                (k if k.dim() == 4 else k + parts[1]),
                (v if v.dim() == 4 else v + parts[2]),
            )
        q, k, v = (t if t.dim() == 4 else _heads(t, heads) for t in (q, k, v))
        y, _ = _attend(q, k, v, _bias(q, k, added, 0, None, scores), scores)
        return _packed(y), k, v

    return kernel


def packed_attention(node: NodePlan) -> Kernel:
    """Attention of com.microsoft: one weight for queries, keys and values."""
    if any(node.has(i) for i in (3, 4, 6)) or node.integer("do_rotary", 0):
        node.refuse("masks, caches and rotary positions are not supported")
    heads, scores, sizes = node.integer("num_heads", 0), _plain_scores(node), node.ints("qkv_hidden_sizes")

    def kernel(x: Tensor, w: Tensor, b: Tensor | None = None, *others: Tensor | None) -> Tensor:
        added = (*others, None, None, None)[2]
        projected = x @ w if b is None else x @ w + b
        q, k, v = torch.split(projected, list(sizes) if sizes else w.shape[1] // 3, -1)
        q, k, v = (_heads(t, heads) for t in (q, k, v))
        return _packed(_attend(q, k, v, _bias(q, k, added, 0, None, scores), scores)[0])

    return kernel


def _plain_scores(node: NodePlan) -> Scores:
    return Scores(
        node.number("scale", 0.0) or None, 0.0, bool(node.integer("unidirectional", 0)), -1, -1, None, 0
    )


def rotary_embedding(node: NodePlan) -> Kernel:
    """RotaryEmbedding: pairs of lanes are turned by an angle that depends on the place."""
    heads, width = node.integer("num_heads", 0), node.integer("rotary_embedding_dim", 0)
    is_interleaved = bool(node.integer("interleaved", 0))

    def kernel(x: Tensor, cosines: Tensor, sines: Tensor, places: Tensor | None = None) -> Tensor:
        rows = x.reshape(*x.shape[:2], heads, -1) if x.dim() == 3 else x.transpose(1, 2)
        lanes = width or rows.shape[-1]
        turned, rest = rows[..., :lanes], rows[..., lanes:]
        if places is not None:
            cosines, sines = cosines[places], sines[places]
        c, s = cosines.unsqueeze(2), sines.unsqueeze(2)
        a, b = (turned[..., 0::2], turned[..., 1::2]) if is_interleaved else turned.chunk(2, -1)
        pair = (c * a - s * b, s * a + c * b)
        joined = torch.stack(pair, -1).flatten(-2) if is_interleaved else torch.cat(pair, -1)
        whole = torch.cat([joined, rest], -1)
        return whole.reshape(x.shape) if x.dim() == 3 else whole.transpose(1, 2)

    return kernel


def swiglu(node: NodePlan) -> Kernel:
    """SwiGLU: a swish of the gate, times the value."""
    alpha = node.number("alpha", 1.0)
    return lambda gate, value: gate * torch.sigmoid(gate * alpha) * value
