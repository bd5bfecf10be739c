"""From a graph of the model to a program of steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import onnx_ir as ir
import torch

from .dtypes import CARRIERS
from .operators.table import find_operator
from .plan import NodePlan, name_of
from .program import ABSENT, FIRST, MODE, UNNAMED, Program, Step, make_schedule


@dataclass(frozen=True)
class Known:
    """What is known of the whole model before its graphs are compiled.

    Attributes:
        versions: The version of each domain's operators.
        constants: Values that are the same at each call.
        weights: Values that the module holds: initializers and Constant nodes of all graphs.
        host: Outputs of nodes that only steer shapes.
    """

    versions: dict[str, int]
    constants: Mapping[ir.Value, ir.TensorProtocol]
    weights: frozenset[ir.Value]
    host: frozenset[ir.Value]


Read: TypeAlias = tuple[ir.Value, bool]
"""A value from outside a graph, and whether it is a constant that is wanted in host memory."""


class Compiler:
    """Compiles one graph; bodies of its nodes get a compiler of their own.

    Args:
        graph: The graph, without function calls.
        known: What is known of the model.
    """

    def __init__(self, graph: ir.Graph, known: Known) -> None:
        self._graph, self._known = graph, known
        self.slots: dict[ir.Value, int] = {}
        self.externals: dict[Read, int] = {}
        self._size = FIRST

    def compile(self) -> Program:
        """Compile the graph.

        Raises:
            ModelError: An operator has no function, or its function refuses the node.
        """
        inputs = tuple(self._new(v) for v in self._graph.inputs if not v.is_initializer())
        held = self._known.weights
        steps = tuple(self._step(node) for node in self._graph if not any(v in held for v in node.outputs))
        outputs = [self._read(value, on_host=False) for value in self._graph.outputs]
        externals = tuple(self.externals.values())
        declared = tuple(_declared(value) for value in self._graph.outputs)
        return Program(self._size, inputs, externals, steps, make_schedule(steps, outputs), declared)

    def _step(self, node: ir.Node) -> Step:
        operator = find_operator(node, self._known.versions)
        inner: list[Compiler] = []

        def body(graph: ir.Graph) -> Program:
            inner.append(Compiler(graph, self._known))
            return inner[-1].compile()

        plan = NodePlan(node, self._known.versions.get(node.domain, 1), self._known.constants, body)
        operator.check(plan)
        kernel = operator.plan(plan)
        steers = all(value in self._known.host for value in node.outputs)
        reads = [
            ABSENT if value is None else self._read(value, on_host=steers or index in operator.host)
            for index, value in enumerate(node.inputs)
        ]
        reads += [self._read(*read) for compiler in inner for read in compiler.externals]
        if plan.asks_mode:
            reads.append(MODE)
        writes = tuple(self._new(v) if v.name else UNNAMED for v in node.outputs)
        return Step(kernel, tuple(reads), writes, operator.host, name_of(node))

    def _read(self, value: ir.Value, on_host: bool) -> int:
        """The slot of a value; what this graph does not make comes from outside."""
        if value in self.slots:
            return self.slots[value]
        read = value, on_host and value in self._known.constants
        if read not in self.externals:
            self.externals[read] = self._size
            self._size += 1
        return self.externals[read]

    def _new(self, value: ir.Value) -> int:
        self.slots[value] = self._size
        self._size += 1
        return self.slots[value]


def _declared(value: ir.Value) -> tuple[tuple[int, ...], torch.dtype]:
    shape = tuple(d if isinstance(d, int) else 0 for d in value.shape or ())
    dtype = ir.DataType.FLOAT if value.dtype is None else value.dtype
    return shape, CARRIERS.get(dtype, torch.float32)
