"""LSTM, GRU and RNN: torch's own loops where they compute the same, step by step where they do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from ..plan import Kernel, NodePlan

Tensor = torch.Tensor
Function = Callable[[Tensor], Tensor]
Cell = Callable[[Tensor, "State", "Direction"], "State"]
State = tuple[Tensor, ...]

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_ORDER = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""Where torch's gates stand in ONNX's order: LSTM is i o f c there and i f c o here, GRU z r h and r z h."""


@dataclass(frozen=True)
class Layer:
    """A recurrent node, as it states itself.

    Attributes:
        kind: ``LSTM``, ``GRU`` or ``RNN``.
        hidden: Size of the state.
        directions: Whether each direction runs backwards.
        activations: The functions of each direction, in turn.
        are_default: Whether they are the functions that torch's own loops have.
        clip: Bound of what goes into a function; None for none.
        is_batch_first: Whether the layout is batch, time, features.
        resets_after: GRU: whether the reset gate comes after the product.
        couples_gates: LSTM: whether the forget gate is one minus the input gate.
    """

    kind: str
    hidden: int
    directions: tuple[bool, ...]
    activations: tuple[tuple[Function, ...], ...]
    are_default: bool
    clip: float | None
    is_batch_first: bool
    resets_after: bool
    couples_gates: bool


@dataclass(frozen=True)
class Direction:
    """The weights of one direction, transposed for products from the left.

    Attributes:
        r: Recurrent weights, ``(hidden, gates * hidden)``.
        recurrent_bias: Their bias, ``(gates * hidden,)``, or None.
        peepholes: ``(3, hidden)`` of an LSTM, or None.
        functions: Its activations.
    """

    r: Tensor
    recurrent_bias: Tensor | None
    peepholes: Tensor | None
    functions: tuple[Function, ...]


def recurrent(node: NodePlan) -> Kernel:
    """LSTM, GRU and RNN."""
    layer = _layer(node)
    own = layer.are_default and layer.clip is None and not layer.couples_gates
    own = own and (layer.kind != "GRU" or layer.resets_after) and layer.directions != (True,)
    own = own and not node.has(4) and not node.has(7)

    def kernel(x: Tensor, w: Tensor, r: Tensor, *others: Tensor | None) -> tuple[Tensor, ...]:
        bias, lengths, first, cell, peepholes = (*others, None, None, None, None, None)[:5]
        x = x.transpose(0, 1) if layer.is_batch_first else x
        states = _first_states(layer, x, first, cell)
        if own:
            # Torch's loops do not take half precision on every processor, and their weights stay in single.
            with torch.autocast("cuda" if x.is_cuda else "cpu", enabled=False):
                x, states = x.to(w.dtype), [s.to(w.dtype) for s in states]
                return _outputs(layer, *_by_torch(layer, x, w, r, bias, states))
        return _outputs(layer, *_by_steps(layer, x, w, r, bias, states, lengths, peepholes))

    return kernel


def _first_states(layer: Layer, x: Tensor, first: Tensor | None, cell: Tensor | None) -> list[Tensor]:
    """The states before the first step, each ``(directions, batch, hidden)``."""
    given = [first, cell] if layer.kind == "LSTM" else [first]
    if layer.is_batch_first:
        given = [None if s is None else s.transpose(0, 1) for s in given]
    shape = (len(layer.directions), x.shape[1], layer.hidden)
    return [x.new_zeros(shape) if s is None else s.contiguous() for s in given]


def _outputs(layer: Layer, y: Tensor, states: list[Tensor]) -> tuple[Tensor, ...]:
    """``Y`` is ``(time, directions, batch, hidden)``, or batch first."""
    if not layer.is_batch_first:
        return (y, *states)
    return (y.permute(2, 0, 1, 3), *(s.transpose(0, 1) for s in states))


def _by_torch(
    layer: Layer, x: Tensor, w: Tensor, r: Tensor, bias: Tensor | None, states: list[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """Through the loops of torch, which are fused."""
    order = _ORDER[layer.kind]
    flat: list[Tensor] = []
    for d in range(len(layer.directions)):
        flat += [_reordered(w[d], order), _reordered(r[d], order)]
        if bias is not None:
            flat += [_reordered(part, order) for part in bias[d].chunk(2)]
    both = len(layer.directions) == 2
    if layer.kind == "LSTM":
        y, *last = torch.lstm(x, states, flat, bias is not None, 1, 0.0, False, both, False)
    elif layer.kind == "GRU":
        y, *last = torch.gru(x, states[0], flat, bias is not None, 1, 0.0, False, both, False)
    else:
        y, *last = torch.rnn_tanh(x, states[0], flat, bias is not None, 1, 0.0, False, both, False)
    time, batch, _ = y.shape
    return y.reshape(time, batch, len(layer.directions), layer.hidden).transpose(1, 2), list(last)


def _reordered(weight: Tensor, order: tuple[int, ...]) -> Tensor:
    if order == (0,):
        return weight
    parts = weight.chunk(len(order))
    return torch.cat([parts[i] for i in order])


def _by_steps(
    layer: Layer,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    bias: Tensor | None,
    states: list[Tensor],
    lengths: Tensor | None,
    peepholes: Tensor | None,
) -> tuple[Tensor, list[Tensor]]:
    """One step of one direction after the other: whatever the specification admits."""
    outputs, lasts = [], []
    for d, is_backward in enumerate(layer.directions):
        of_input, of_state = (None, None) if bias is None else bias[d].chunk(2)
        peeps = None if peepholes is None else peepholes[d].reshape(3, layer.hidden)
        direction = Direction(r[d].t(), of_state, peeps, layer.activations[d])
        seen = functional.linear(x, w[d], of_input)
        y, last = _walk(layer, seen, tuple(s[d] for s in states), direction, lengths, is_backward)
        outputs.append(y)
        lasts.append(last)
    return torch.stack(outputs, 1), [torch.stack(parts) for parts in zip(*lasts, strict=True)]


def _walk(
    layer: Layer, seen: Tensor, state: State, direction: Direction, lengths: Tensor | None, is_backward: bool
) -> tuple[Tensor, State]:
    """Every step of one direction; rows that have ended keep their state and give zeros."""
    time = seen.shape[0]
    made: list[Tensor] = [seen.new_zeros(0)] * time
    cell = _CELLS[layer.kind]
    for step in reversed(range(time)) if is_backward else range(time):
        new = cell(layer, seen[step], state, direction)
        output = new[0]
        if lengths is not None:
            runs = (step < lengths.to(seen.device)).unsqueeze(1)
            new = tuple(torch.where(runs, a, b) for a, b in zip(new, state, strict=True))
            output = torch.where(runs, output, torch.zeros_like(output))
        made[step], state = output, new
    return torch.stack(made), state


def _lstm(layer: Layer, seen: Tensor, state: State, direction: Direction) -> State:
    hidden, memory = state
    f, g, h = direction.functions
    i_gate, o_gate, f_gate, c_gate = (seen + _recurrent(hidden, direction)).chunk(4, 1)
    peeps = direction.peepholes
    if peeps is not None:
        i_gate, f_gate = i_gate + peeps[0] * memory, f_gate + peeps[2] * memory
    taken = f(_bounded(i_gate, layer))
    kept = 1 - taken if layer.couples_gates else f(_bounded(f_gate, layer))
    memory = kept * memory + taken * g(_bounded(c_gate, layer))
    if peeps is not None:
        o_gate = o_gate + peeps[1] * memory
    return f(_bounded(o_gate, layer)) * h(memory), memory


def _gru(layer: Layer, seen: Tensor, state: State, direction: Direction) -> State:
    (hidden,) = state
    f, g = direction.functions
    width = layer.hidden
    mixed = _recurrent(hidden, direction)
    update = f(_bounded(seen[:, :width] + mixed[:, :width], layer))
    reset = f(_bounded(seen[:, width : 2 * width] + mixed[:, width : 2 * width], layer))
    if layer.resets_after:
        candidate = seen[:, 2 * width :] + reset * mixed[:, 2 * width :]
    else:
        candidate = seen[:, 2 * width :] + (reset * hidden) @ direction.r[:, 2 * width :]
        if direction.recurrent_bias is not None:
            candidate = candidate + direction.recurrent_bias[2 * width :]
    return ((1 - update) * g(_bounded(candidate, layer)) + update * hidden,)


def _rnn(layer: Layer, seen: Tensor, state: State, direction: Direction) -> State:
    return (direction.functions[0](_bounded(seen + _recurrent(state[0], direction), layer)),)


_CELLS = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}


def _recurrent(hidden: Tensor, direction: Direction) -> Tensor:
    product = hidden @ direction.r
    return product if direction.recurrent_bias is None else product + direction.recurrent_bias


def _bounded(x: Tensor, layer: Layer) -> Tensor:
    return x if layer.clip is None else x.clamp(-layer.clip, layer.clip)


def _layer(node: NodePlan) -> Layer:
    kind = node.node.op_type
    named = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
    direction = node.text("direction", "forward")
    if direction not in named:
        node.refuse(f"direction {direction!r} is unknown")
    directions = named[direction]
    defaults = _DEFAULTS[kind]
    names = node.texts("activations") or defaults * len(directions)
    functions = _functions(node, names)
    each = len(defaults)
    return Layer(
        kind=kind,
        hidden=node.integer("hidden_size", 0) or node.refuse("hidden_size is not stated"),
        directions=directions,
        activations=tuple(functions[i * each : (i + 1) * each] for i in range(len(directions))),
        are_default=tuple(names) == defaults * len(directions),
        clip=node.number("clip", 0.0) or None,
        is_batch_first=bool(node.integer("layout", 0)),
        resets_after=bool(node.integer("linear_before_reset", 0)),
        couples_gates=bool(node.integer("input_forget", 0)),
    )


def _functions(node: NodePlan, names: tuple[str, ...]) -> tuple[Function, ...]:
    """The activations, each with its share of the parameters."""
    alphas, betas = list(node.floats("activation_alpha") or ()), list(node.floats("activation_beta") or ())
    found = []
    for name in names:
        if name not in _ACTIVATIONS:
            node.refuse(f"activation {name!r} is unknown")
        make, has_alpha, has_beta = _ACTIVATIONS[name]
        alpha = alphas.pop(0) if has_alpha and alphas else None
        beta = betas.pop(0) if has_beta and betas else None
        found.append(make(alpha, beta))
    return tuple(found)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


_ACTIVATIONS: dict[str, tuple[Callable[[Any, Any], Function], bool, bool]] = {
    "Affine": (lambda a, b: lambda x: _or(a, 1.0) * x + _or(b, 0.0), True, True),
    "Elu": (lambda a, b: lambda x: functional.elu(x, _or(a, 1.0)), True, False),
    "HardSigmoid": (lambda a, b: lambda x: (_or(a, 0.2) * x + _or(b, 0.5)).clamp(0, 1), True, True),
    "LeakyRelu": (lambda a, b: lambda x: functional.leaky_relu(x, _or(a, 0.01)), True, False),
    "Relu": (lambda a, b: torch.relu, False, False),
    "ScaledTanh": (lambda a, b: lambda x: _or(a, 1.0) * torch.tanh(_or(b, 1.0) * x), True, True),
    "Sigmoid": (lambda a, b: torch.sigmoid, False, False),
    "Softplus": (lambda a, b: functional.softplus, False, False),
    "Softsign": (lambda a, b: functional.softsign, False, False),
    "Tanh": (lambda a, b: torch.tanh, False, False),
    "ThresholdedRelu": (lambda a, b: lambda x: functional.threshold(x, _or(a, 1.0), 0.0), True, False),
}
"""How each activation is made from alpha and beta, and which of the two it takes."""
