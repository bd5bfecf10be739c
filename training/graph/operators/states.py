"""Layers that carry a state from token to token: linear attention, and the causal convolution before it."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from ..plan import Kernel, NodePlan

Tensor = torch.Tensor

_RULES = {
    "linear": (False, False),
    "gated": (True, False),
    "delta": (False, True),
    "gated_delta": (True, True),
}
"""Whether a rule lets the state fade, and whether it stores what the state does not say already."""


def causal_convolution(node: NodePlan) -> Kernel:
    """CausalConvWithState: depthwise, over the token and those before it; the last ones are the state."""
    activation = node.text("activation", "none")
    if activation not in {"none", "silu", "swish"}:
        node.refuse(f"activation {activation!r} is unknown")

    def kernel(
        x: Tensor, w: Tensor, b: Tensor | None = None, past: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        before = w.shape[-1] - 1
        whole = functional.pad(x, (before, 0)) if past is None else torch.cat([past, x], 2)
        y = functional.conv1d(whole, w, b, groups=w.shape[0])
        y = y if activation == "none" else functional.silu(y)
        return y, whole.narrow(2, whole.shape[2] - before, before)

    return kernel


def linear_attention(node: NodePlan) -> Kernel:
    """LinearAttention: the state of each head, token after token (Yang et al. 2024, arXiv:2412.06464)."""
    heads, kept = node.integer("q_num_heads", 1), node.integer("kv_num_heads", 1)
    rule, stated = node.text("update_rule", "gated_delta"), node.number("scale", 0.0)
    if rule not in _RULES:
        node.refuse(f"update_rule {rule!r} is unknown")
    fades, corrects = _RULES[rule]

    def kernel(q: Tensor, k: Tensor, v: Tensor, *others: Tensor | None) -> tuple[Tensor, Tensor]:
        own = q.dtype
        # The state is a long sum: half precision would lose what it gains from each token.
        q, k, v = (t.float() if t.element_size() < 4 else t for t in (q, k, v))
        past, decay, rate = (None if t is None else t.to(q.dtype) for t in (*others, None, None, None)[:3])
        q, k, v = _split(q, heads), _split(k, kept), _split(v, kept)
        scale = stated or 1.0 / math.sqrt(q.shape[-1])
        fading = _split(decay, kept).exp() if fades and decay is not None else None
        rates = None if rate is None or not corrects else rate.reshape(*rate.shape[:2], -1, 1)
        state = q.new_zeros(q.shape[0], kept, k.shape[-1], v.shape[-1]) if past is None else past
        made = []
        for t in range(q.shape[1]):
            if fading is not None:
                state = state * fading[:, t].unsqueeze(-1)
            news = v[:, t]
            if rates is not None:
                news = (news - (k[:, t].unsqueeze(-2) @ state).squeeze(-2)) * rates[:, t]
            state = state + k[:, t].unsqueeze(-1) * news.unsqueeze(-2)
            seen = state.repeat_interleave(heads // kept, 1)
            made.append((q[:, t].unsqueeze(-2) @ seen).squeeze(-2) * scale)
        return torch.stack(made, 1).flatten(2).to(own), state.to(own)

    return kernel


def _split(x: Tensor, heads: int) -> Tensor:
    """``(batch, tokens, heads * width)`` to ``(batch, tokens, heads, width)``."""
    return x.reshape(*x.shape[:2], heads, -1)
