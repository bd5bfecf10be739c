"""Residual branches: what a sum adds to a value that would also do without it, and skipping them whole.

Where ``y = x + f(x)``, the network still runs when ``f`` goes and ``x`` takes the place of ``y``; nothing else about it
changes, so what is lost can be fitted back by the layers that are left. A layer that is gone costs no time at all, while
a narrow one keeps the fixed costs of a kernel call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from ...core.errors import UsageError
from ...core.metrics import sample_shapes
from ...core.shapes import Dims, concrete_shapes, infer_shapes

_LINEAR = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN"})

_IDEMPOTENT = frozenset({"Relu"})
"""Doing it twice is doing it once."""


@dataclass(frozen=True)
class Branch:
    """A residual branch.

    Attributes:
        name: The sum's output, which the kept value takes the place of.
        kept: The value that is added to, by name.
        nodes: The nodes that only the branch needs, by name, in the order of the graph.
    """

    name: str
    kept: str
    nodes: tuple[str, ...]


def find_branches(
    model: ir.Model, input_shapes: Mapping[str, Sequence[int]] | None = None
) -> tuple[Branch, ...]:
    """The residual branches of the main graph, in its order.

    A branch reads the value that it is added to, has that value's shape, and holds at least one layer with weights.

    Args:
        model: The graph; shapes are inferred where they are missing.
        input_shapes: Shapes of one sample for each input, where the graph leaves more than the batch open.
    """
    infer_shapes(model)
    shapes = _shapes(model, input_shapes)
    order = {node: index for index, node in enumerate(model.graph)}
    found = []
    for node in model.graph:
        seen = _branch_of(node, shapes)
        if seen is not None:
            kept, cone = seen
            names = tuple(n.name or "" for n in sorted(cone, key=order.__getitem__))
            found.append(Branch(node.outputs[0].name or "", kept.name or "", names))
    return tuple(found)


def skip_branches(
    model: ir.Model, names: Iterable[str], input_shapes: Mapping[str, Sequence[int]] | None = None
) -> list[ir.Node]:
    """Let the values that are added to take the place of sums, in place.

    Args:
        model: The graph.
        names: Outputs of sums, as :func:`find_branches` names them.
        input_shapes: As for :func:`find_branches`.

    Returns:
        The nodes that now read other values than before, near or far, in the order of the graph.

    Raises:
        UsageError: A name is not that of a residual branch.
    """
    infer_shapes(model)
    changed: dict[ir.Value, None] = {}
    shapes = _shapes(model, input_shapes)
    for name in names:
        total = next((n for n in model.graph if name in {v.name for v in n.outputs}), None)
        seen = None if total is None else _branch_of(total, shapes)
        if total is None or seen is None:
            known = ", ".join(b.name for b in find_branches(model, input_shapes)) or "none"
            raise UsageError(f"{name!r} is no residual branch", remedy=f"branches of this model: {known}")
        kept, _ = seen
        changed[kept] = None
        ir.convenience.replace_all_uses_with(total.outputs[0], kept)
        _drop_repeated(kept)
        RemoveUnusedNodesPass()(model)
    reached = set(changed)
    behind = []
    for node in model.graph:
        if reached.intersection(v for v in node.inputs if v is not None):
            behind.append(node)
            reached.update(node.outputs)
    return behind


_BATCH = 3
"""A batch that no other size is likely to be mistaken for, and nothing spreads over."""


def _shapes(model: ir.Model, given: Mapping[str, Sequence[int]] | None) -> Mapping[str, Dims]:
    """Shapes of all values in numbers: two that are both unknown may differ by a broadcast."""
    sizes = {name: list(dims) for name, dims in {**sample_shapes(model), **(given or {})}.items()}
    for value in model.graph.inputs:
        if value.name in sizes and value.shape and isinstance(value.shape[0], ir.SymbolicDim):
            sizes[value.name][0] = _BATCH
    return concrete_shapes(model, sizes)


def _branch_of(total: ir.Node, shapes: Mapping[str, Dims]) -> tuple[ir.Value, list[ir.Node]] | None:
    """The value that a sum keeps and the nodes that go, where one operand is a branch of the other."""
    if total.op_type != "Add" or total.domain not in {"", "ai.onnx"} or total.outputs[0].is_graph_output():
        return None
    for kept, branch in (total.inputs, reversed(total.inputs)):
        if kept is None or branch is None or kept.const_value is not None:
            continue
        sizes = [shapes.get(v.name or "") for v in (kept, branch, total.outputs[0])]
        if sizes[0] is None or not sizes[0] == sizes[1] == sizes[2]:
            continue
        cone = _only_for(branch, total, kept)
        if any(kept in n.inputs for n in cone) and any(n.op_type in _LINEAR for n in cone):
            return kept, cone
    return None


def _only_for(value: ir.Value, reader: ir.Node, kept: ir.Value) -> list[ir.Node]:
    """The nodes that nothing needs when a reader reads only what it keeps."""
    gone: dict[ir.Node, None] = {}
    waiting = [value.producer()]
    while waiting:
        node = waiting.pop()
        if node is None or node in gone or kept in node.outputs:
            continue
        if not all(_is_within(v, gone, reader) for v in node.outputs):
            continue
        gone[node] = None
        waiting.extend(v.producer() for v in node.inputs if v is not None)
    return list(gone)


def _is_within(value: ir.Value, gone: dict[ir.Node, None], reader: ir.Node) -> bool:
    return not value.is_graph_output() and all(use.node is reader or use.node in gone for use in value.uses())


def _drop_repeated(value: ir.Value) -> None:
    """Take out an activation behind the same activation."""
    maker = value.producer()
    if maker is None or maker.op_type not in _IDEMPOTENT:
        return
    for use in list(value.uses()):
        again = use.node
        if again.op_type == maker.op_type and not again.outputs[0].is_graph_output():
            ir.convenience.replace_all_uses_with(again.outputs[0], value)
