"""Which neurons go together: connected components over the ids of all indices.

Every rule emits ties (ids that must be cut together) and pins (ids that may not be cut). The components of the
ties are the classes; a class with a pin is frozen with the pin's reason. Classes that touch the same axes of the
same values form a group: the channels of a layer, or of a whole residual stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...core.reports import Skip
from ...core.shapes import Dims
from .components import choose_options, components, whole_axes
from .emitter import Emission, Emitter, FreezeError, Pin
from .grouping import Group, Grouping
from .rules import RULES
from .space import IndexSpace


class Coupling:
    """The analysis of one graph.

    Attributes:
        space: Ids of the graph's axes.
        ties: Pairs of arrays of ids that go together.
        labels: The class of each id, shape ``(ids,)``.
        groups: The groups that may be cut.
        frozen: Groups that may not be cut, each with its reason.
        contractions: Every sum over an axis.
    """

    def __init__(self, space: IndexSpace, emissions: Mapping[ir.Node, Emission], pins: list[Pin]) -> None:
        self.space = space
        self.ties = tuple(tie for e in emissions.values() for tie in e.ties)
        self.labels = components(space.total, self.ties)
        written = [pin for e in emissions.values() for pin in e.pins]
        self._pins = [*pins, *written, *_whole_axis_pins(space, self.labels)]
        self.contractions = tuple(c for e in emissions.values() for c in e.contractions)

    @cached_property
    def pinned(self) -> npt.NDArray[np.int64]:
        """For each class the first pin that freezes it, -1 where none does; shape ``(classes,)``."""
        first = np.full(int(self.labels.max(initial=-1)) + 1, -1, dtype=np.int64)
        if self._pins:
            index = np.repeat(np.arange(len(self._pins)), [len(pin.ids) for pin in self._pins])
            ids = np.concatenate([pin.ids for pin in self._pins])
            first[self.labels[ids[::-1]]] = index[::-1]  # what is written last stays
        return first

    @cached_property
    def all_groups(self) -> tuple[Group, ...]:
        """Every group of neurons that touches a weight, frozen or not."""
        return Grouping(self.space, self.labels, self.contractions, self.reason).groups()

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The groups that may be cut."""
        return tuple(g for g in self.all_groups if g.frozen is None)

    @cached_property
    def frozen(self) -> tuple[Group, ...]:
        """The groups that may not be cut, each with its reason."""
        return tuple(g for g in self.all_groups if g.frozen is not None)

    def reason(self, label: int) -> Skip | None:
        """Why a class may not be cut, or None."""
        index = int(self.pinned[label])
        return None if index < 0 else self._pins[index].reason

    def classes_of(self, value: ir.Value, axis: int) -> npt.NDArray[np.int64] | None:
        """The class of each index along an axis; None where the axis is dynamic."""
        ids = self.space.ids(value, axis)
        return None if ids is None else self.labels[ids]


def analyze(
    model: ir.Model, shapes: Mapping[str, Dims] | None = None, *, approximate: bool = False
) -> Coupling:
    """Find which neurons of a graph go together, and which may be cut.

    Args:
        model: The graph with inferred shapes, functions inlined, constants lifted to initializers.
        shapes: Shapes that inference could not find, by value name.
        approximate: Whether neurons may be cut over which a LayerNormalization or a mean runs: what is left then
            has other statistics.

    Returns:
        The coupling, subgraphs included; operators without a rule have frozen all they touch.
    """
    space = IndexSpace(model.graph, shapes, is_approximate=approximate)
    nodes = list(ir.traversal.RecursiveGraphIterator(model.graph))
    counts = {node: _option_count(node, space) for node in nodes}
    emissions = {node: _emit(node, space, 0) for node in nodes}
    pins = list(_contract_pins(model.graph, space))
    chosen = choose_options(space, emissions, counts, pins, lambda node, option: _emit(node, space, option))
    return Coupling(space, chosen, pins)


def _whole_axis_pins(space: IndexSpace, labels: npt.NDArray[np.int64]) -> Iterator[Pin]:
    """What fills an axis by itself cannot go: nothing of the axis would be left."""
    for value, axis, start in whole_axes(space, labels):
        text = f"axis {axis} of {value.name} goes as a whole, and nothing of it would be left"
        yield Pin(np.asarray([start]), Skip(value.name or "", axis, "whole-axis", text))


def _option_count(node: ir.Node, space: IndexSpace) -> int:
    rule = RULES.get((_domain(node), node.op_type))
    if rule is None:
        return 1
    try:
        return rule.options(node, Emitter(node, space))
    except FreezeError:
        return 1


def _emit(node: ir.Node, space: IndexSpace, option: int) -> Emission:
    """Ask the node's rule; where there is none, or it cannot follow, freeze everything the node touches."""
    rule = RULES.get((_domain(node), node.op_type))
    emitter = Emitter(node, space)
    code, text = "no-rule", "no rule for this operator"
    if rule is not None:
        try:
            rule.emit(node, emitter, option)
        except FreezeError as freeze:
            code, text = freeze.code, freeze.text
        else:
            _pin_unmentioned(node, emitter)
            return emitter.out
    frozen = Emitter(node, space)
    for value in (*node.inputs, *node.outputs, *_captured(node)):
        if value is not None and value in space:
            for axis, ids in space.all_ids(value):
                frozen.pin(ids, axis, code, text)
    return frozen.out


def _pin_unmentioned(node: ir.Node, emitter: Emitter) -> None:
    """Freeze what a rule says nothing about among the further outputs of its node: it would be cut as if by itself."""
    further = [v for v in node.outputs[1:] if v in emitter.space and (v.uses() or v.is_graph_output())]
    if not further:
        return
    out = emitter.out
    mentioned = np.concatenate(
        [np.zeros(0, np.int64), *(ids for tie in out.ties for ids in tie), *(pin.ids for pin in out.pins)]
    )
    for value in further:
        for axis, ids in emitter.space.all_ids(value):
            if len(ids) > 1 and not np.isin(ids, mentioned).all():
                emitter.pin(ids, axis, "no-rule", f"no rule for the output {value.name}")


def _captured(node: ir.Node) -> Iterator[ir.Value]:
    """Everything that the node's subgraphs take, read and return."""
    for attribute in node.attributes.values():
        if attribute.type not in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
            continue
        graphs = [attribute.as_graph()] if attribute.type == ir.AttributeType.GRAPH else attribute.as_graphs()
        for graph in graphs:
            yield from (*graph.inputs, *graph.outputs)
            for inner in ir.traversal.RecursiveGraphIterator(graph):
                yield from (value for value in inner.inputs if value is not None)


def _contract_pins(graph: ir.Graph, space: IndexSpace) -> Iterator[Pin]:
    """Graph inputs and outputs are a public contract."""
    for kind, values in (("input", graph.inputs), ("output", graph.outputs)):
        for value in values:
            if value.const_value is None and value in space:
                for axis, ids in space.all_ids(value):
                    yield Pin(
                        ids, Skip(value.name or "", axis, f"graph-{kind}", f"graph {kind} {value.name}")
                    )


def _domain(node: ir.Node) -> str:
    return "" if node.domain == "ai.onnx" else node.domain
