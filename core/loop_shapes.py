"""Shapes of what a Loop carries.

onnx infers nothing of a state, because its shape may change from one iteration to the next. Here each state is taken
to keep the sizes that it starts with; a size that the body or an enclosing loop contradicts is given up, until what is
left proves itself: what holds before an iteration holds after it, and so after all of them (induction).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

_OWN_INPUTS = 2
"""Trip count and condition come before the states; in the body the iteration's number and the condition do."""

Sizes = tuple[int | None, ...]


@dataclass(frozen=True)
class _State:
    """One state of a Loop under its four names."""

    initial: ir.Value
    taken: ir.Value
    returned: ir.Value
    final: ir.Value


class LoopShapes:
    """What is supposed of the loops of a model, brought up to date after each inference.

    Args:
        model: The model; what its loops hand out is forgotten first.
    """

    def __init__(self, model: ir.Model) -> None:
        self.states = list(_states(model.graph))
        self.supposed: set[ir.Value] = set()
        self._given_up: set[ir.Value] = set()
        finals = [s.final for s in self.states if s.final.name]
        # What the main graph returns is declared, and so is what a body says that it returns.
        self._open = {v for v in finals if v not in model.graph.outputs and not _is_declared(v)}
        bodies = list(model.graph.subgraphs())
        self._undeclared = [v for b in bodies for v in (*b.inputs, *b.outputs) if v.shape is None]
        self._forget_finals()

    @property
    def handed_out(self) -> set[ir.Value]:
        """What the loops hand out, where its shape is known."""
        return {value for value in self._open if value.shape is not None}

    def refine(self) -> bool:
        """Suppose what is new, and give up what was contradicted; whether anything changed."""
        changed = [self._refine(state) for state in self.states]
        if not any(changed) and not self._retreat():
            return False
        self._forget_inferred()
        return True

    def forget(self) -> None:
        """Give up everything, for good."""
        for state in self.states:
            self._give_up(state)
        self._forget_finals()
        self._forget_inferred()
        self.states = []

    def _forget_finals(self) -> None:
        for value in self._open:
            value.shape = None

    def _forget_inferred(self) -> None:
        """What was inferred of other bodies rests on what was supposed: the next inference says it anew."""
        kept = self.supposed | self.handed_out
        for value in self._undeclared:
            if value not in kept:
                value.shape = None

    def _refine(self, state: _State) -> bool:
        start, inside = _sizes(state.initial), _sizes(state.taken)
        if inside is None and start is not None and state.taken not in self._given_up:
            self.supposed.add(state.taken)
            return _write(state.taken, start) | self._hand_out(state)
        if state.taken in self.supposed and inside is not None:
            if start is None:
                return self._give_up(state)
            left = _common(inside, start)
            after = _sizes(state.returned)
            left = left if after is None or left is None else _common(left, after)
            if left is None:
                return self._give_up(state)
            if left != inside:
                return _write(state.taken, left) | self._hand_out(state)
        return self._hand_out(state)

    def _hand_out(self, state: _State) -> bool:
        """After the last iteration a state is what the body takes, or what it began with."""
        sizes = _sizes(state.taken)
        for other in (_sizes(state.initial), _sizes(state.returned)):
            if sizes is not None and other is not None:
                sizes = _unless_contradicted(sizes, other)
        if sizes is None or _sizes(state.final) == sizes or state.final not in self._open:
            return False
        return _write(state.final, sizes)

    def _retreat(self) -> bool:
        """Nothing new: what the body does not prove, for lack of shapes inside, is no more than supposed."""
        unproven = [s for s in self.states if s.taken in self.supposed and _sizes(s.returned) is None]
        changed = [self._give_up(state) for state in unproven]
        return any(changed)

    def _give_up(self, state: _State) -> bool:
        if state.taken not in self.supposed:
            return False
        self.supposed.discard(state.taken)
        self._given_up.add(state.taken)
        state.taken.shape = None
        if state.final in self._open:
            state.final.shape = None
        return True


def _is_declared(value: ir.Value) -> bool:
    return value.is_graph_output() and value.shape is not None


def _states(graph: ir.Graph) -> Iterator[_State]:
    for node in ir.traversal.RecursiveGraphIterator(graph):
        if node.op_type != "Loop" or node.domain not in {"", "ai.onnx"} or "body" not in node.attributes:
            continue
        body = node.attributes["body"].as_graph()
        # Where a list is shorter the graph is malformed, which inference says.
        ways = zip(
            node.inputs[_OWN_INPUTS:], body.inputs[_OWN_INPUTS:], body.outputs[1:], node.outputs, strict=False
        )
        for initial, taken, returned, final in ways:
            if initial is not None:
                yield _State(initial, taken, returned, final)


def _sizes(value: ir.Value) -> Sizes | None:
    if value.const_value is not None:
        return tuple(value.const_value.shape.numpy())
    if value.shape is None or not isinstance(value.type, (ir.TensorType, type(None))):
        return None
    return tuple(d if isinstance(d, int) and d >= 0 else None for d in value.shape)


def _common(first: Sizes, second: Sizes) -> Sizes | None:
    """The sizes in which both agree; None where even their number differs."""
    if len(first) != len(second):
        return None
    return tuple(a if a == b else None for a, b in zip(first, second, strict=True))


def _unless_contradicted(sizes: Sizes, other: Sizes) -> Sizes | None:
    """The sizes that the other does not say otherwise."""
    if len(sizes) != len(other):
        return None
    return tuple(a if b is None or a == b else None for a, b in zip(sizes, other, strict=True))


def _write(value: ir.Value, sizes: Sizes) -> bool:
    value.shape = ir.Shape(sizes)
    return True
