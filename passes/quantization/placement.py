"""Where Q/DQ goes: which nodes run in integers, which values are quantized, which of them share parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from ...core.errors import InputError
from ...core.reports import Skip
from ...core.targets import Target
from ..folding import constant
from .absorption import absorbable, may_end_in_float
from .costs import LAYOUT_FREE, POOLED_NS, Shape, conversion_ns, gain_ns, macs_of
from .eligibility import REARRANGING, ROLES, ineligible, role_of
from .mincut import Junction, integer_side
from .options import QuantizeOptions

_PRODUCTS = frozenset({"linear", "product"})
_MANY = 1 << 20


@dataclass
class Placement:
    """What becomes integer.

    Attributes:
        nodes: The nodes that run in integers, in graph order.
        absorbed: For a node, the Relu or Clip behind it that its quantization absorbs.
        values: The values that get a Q/DQ pair, in graph order.
        parameters_of: For a value that shares another's scale and zero-point, that other value.
        skipped: The nodes that stay float, with reasons.
        macs: Multiply-accumulates of one sample in each convolution and matrix product.
        pays: Whether the integers are expected to gain more than the conversions cost.
    """

    nodes: list[ir.Node] = field(default_factory=list)
    absorbed: dict[ir.Node, ir.Node] = field(default_factory=dict)
    values: list[ir.Value] = field(default_factory=list)
    parameters_of: dict[ir.Value, ir.Value] = field(default_factory=dict)
    skipped: list[Skip] = field(default_factory=list)
    macs: dict[str, int] = field(default_factory=dict)
    pays: bool = True

    def owner(self, value: ir.Value) -> ir.Node | None:
        """The node that makes a value; behind an absorbed Relu or Clip, the node that absorbed it."""
        producer = value.producer()
        return next((n for n, behind in self.absorbed.items() if behind is producer), producer)

    def root(self, value: ir.Value) -> ir.Value:
        """The value whose distribution decides the parameters of ``value``."""
        while value in self.parameters_of:
            value = self.parameters_of[value]
        return value

    def copied(self, nodes: Mapping[ir.Node, ir.Node], values: Mapping[ir.Value, ir.Value]) -> Placement:
        """The same placement in a copy of the graph.

        Args:
            nodes: For each node, the one in the copy.
            values: For each value, the one in the copy.
        """
        return Placement(
            nodes=[nodes[n] for n in self.nodes],
            absorbed={nodes[a]: nodes[b] for a, b in self.absorbed.items()},
            values=[values[v] for v in self.values],
            parameters_of={values[a]: values[b] for a, b in self.parameters_of.items()},
        )


def place(
    model: ir.Model,
    target: Target,
    options: QuantizeOptions,
    shapes: Mapping[str, Shape],
    *,
    may_be_empty: bool = False,
) -> Placement:
    """Decide what becomes integer.

    Args:
        model: A clean graph, left as it is.
        target: Which operators have integer kernels, and the rule for zero-points.
        options: What is excluded.
        shapes: The shape of each float value on one sample.
        may_be_empty: Whether a graph in which no layer can become integer is no error.

    Raises:
        InputError: Nothing can become integer.
        ModelError: A weight is not finite.
    """
    result = Placement()
    candidates = _candidates(model, target, options, shapes, result.skipped)
    if any(role_of(node) in _PRODUCTS for node in candidates):
        result.absorbed = _absorbed(candidates, target)
        result.nodes = candidates
        if not options.at_any_cost:
            result.nodes = _chosen(model, candidates, result, shapes, target, options.deployed_batch)
    if not any(role_of(node) in _PRODUCTS for node in result.nodes):
        if not may_be_empty:
            raise _nothing(result.skipped, target)
        result.nodes, result.absorbed = [], {}
    result.skipped += skipped_bodies(model)
    absorbed = {behind.name for behind in result.absorbed.values()}
    result.skipped = [skip for skip in result.skipped if skip.node not in absorbed]
    result.macs = {n.name or "": macs_of(n, shapes) for n in result.nodes if role_of(n) in _PRODUCTS}
    _quantized_values(model, result)
    return result


def calibrated_values(
    model: ir.Model, target: Target, options: QuantizeOptions, shapes: Mapping[str, Shape]
) -> list[str]:
    """Names of the values whose statistics some placement needs, whatever else is left in float.

    Args:
        model: A clean graph.
        target: Which operators have integer kernels, and the rule for zero-points.
        options: What is excluded in any case.
        shapes: The shape of each float value on one sample.
    """
    candidates = _candidates(model, target, options, shapes, [])
    absorbed = _absorbed(candidates, target)
    found: dict[str, None] = {}
    for node in candidates:
        for value in (*activations(node), absorbed.get(node, node).outputs[0]):
            found[same_elements(value).name or ""] = None
    return list(found)


def same_elements(value: ir.Value) -> ir.Value:
    """The value whose elements, in another order or shape, are those of ``value``."""
    producer = value.producer()
    while producer is not None and producer.op_type in REARRANGING and producer.inputs[0] is not None:
        if producer.inputs[0].dtype != ir.DataType.FLOAT or constant(producer.inputs[0]) is not None:
            break
        value = producer.inputs[0]
        producer = value.producer()
    return value


def skipped_bodies(model: ir.Model) -> list[Skip]:
    """A reason for each layer inside the graphs of If, Loop and Scan, whose values calibration does not see."""
    outer = set(model.graph)
    return [
        Skip(
            n.name or "",
            None,
            "in-a-body",
            f"{n.op_type}: inside a body, whose values calibration does not see",
        )
        for n in ir.traversal.RecursiveGraphIterator(model.graph)
        if n not in outer and n.op_type in ROLES and role_of(n) in _PRODUCTS
    ]


def _absorbed(candidates: list[ir.Node], target: Target) -> dict[ir.Node, ir.Node]:
    """What a range that starts at zero makes superfluous; a symmetric one on the CPU starts below it."""
    is_symmetric_cpu = target.zero_point == "symmetric" and target.is_cpu
    return {} if is_symmetric_cpu else absorbable(candidates)


def _nothing(skipped: list[Skip], target: Target) -> InputError:
    reasons = ", ".join(sorted({s.code for s in skipped})) or "no convolution and no matrix product"
    if target.instead:
        return InputError(
            f"{target.name} runs no Q/DQ layer in integers: {target.reasons[0]}",
            remedy=f"use --precision {target.instead}, --weight-only, or another --target",
        )
    return InputError(
        f"no convolution or matrix product of the model can run in integers ({reasons})",
        remedy="use --weight-only, --precision dynamic, another --target, or exclude less",
    )


def _candidates(
    model: ir.Model,
    target: Target,
    options: QuantizeOptions,
    shapes: Mapping[str, Shape],
    skipped: list[Skip],
) -> list[ir.Node]:
    found = []
    for node in model.graph:
        skip = ineligible(node, target, options)
        if skip is None and any(n not in shapes for n in _float_names(node)):
            skip = Skip(node.name or "", None, "unknown-shape", f"{node.op_type}: a shape is not known")
        if skip is None:
            found.append(node)
        elif any(v.dtype in {ir.DataType.FLOAT, ir.DataType.FLOAT16} for v in node.outputs):
            skipped.append(skip)
    if options.skip_first_last:
        linear = [n for n in found if role_of(n) in _PRODUCTS]
        for node in {linear[0], linear[-1]} if linear else ():
            found.remove(node)
            skipped.append(
                Skip(node.name or "", None, "first-or-last", "the first and the last layer stay float")
            )
    return found


def _float_names(node: ir.Node) -> list[str]:
    values = [v for v in (*activations(node), node.outputs[0]) if v is not None]
    return [v.name or "" for v in values]


def activations(node: ir.Node) -> list[ir.Value]:
    """The float inputs of a node that are not constant."""
    inputs = node.inputs[:2] if role_of(node) in _PRODUCTS else node.inputs
    if role_of(node) in {"unary", "move"}:
        inputs = node.inputs[:1]
    return [v for v in inputs if v is not None and constant(v) is None]


def _chosen(
    model: ir.Model,
    candidates: list[ir.Node],
    result: Placement,
    shapes: Mapping[str, Shape],
    target: Target,
    batch: int,
) -> list[ir.Node]:
    """The nodes on the integer side of the cheapest choice, and a reason for each candidate on the other.

    Where no choice gains anything, conversions are left out of account, so that the user still gets the
    integer model asked for; :attr:`Placement.pays` says so.
    """
    index = {node: i for i, node in enumerate(candidates)}
    measured = target.is_cpu
    gains = [gain_ns(n, shapes, batch) if measured else 1.0 for n in candidates]
    junctions = _junctions(model, result, index, shapes, batch if measured else None)
    pools = _pools_behind(candidates, index, result) if measured else []
    sides = integer_side(gains, junctions, pools)
    if not any(chosen and role_of(n) in _PRODUCTS for n, chosen in zip(candidates, sides, strict=True)):
        result.pays = False
        sides = _regardless(candidates, shapes) if measured else sides
    for node, chosen in zip(candidates, sides, strict=True):
        if not chosen:
            result.skipped.append(_too_dear(node, gains[index[node]]))
            result.absorbed.pop(node, None)
    return [node for node, chosen in zip(candidates, sides, strict=True) if chosen]


def _regardless(candidates: list[ir.Node], shapes: Mapping[str, Shape]) -> list[bool]:
    """The layers that are faster in integers by themselves, or all of them where none is."""
    layers = [role_of(n) == "linear" for n in candidates]
    faster = [
        is_layer and gain_ns(n, shapes, _MANY) > 0 for n, is_layer in zip(candidates, layers, strict=True)
    ]
    return faster if any(faster) else [role_of(n) in _PRODUCTS for n in candidates]


def _junctions(
    model: ir.Model,
    result: Placement,
    index: Mapping[ir.Node, int],
    shapes: Mapping[str, Shape],
    batch: int | None,
) -> list[Junction]:
    """The float values, with the cost of converting them; without a batch conversions are free."""
    found = []
    for value in _values(model):
        producer = value.producer()
        if (value.name or "") not in shapes or (producer is not None and producer in result.absorbed):
            continue  # the value between a node and what it absorbs is never converted
        owner = result.owner(value)
        readers = tuple(index.get(n) if n is not None else None for n in _readers(value))
        start = index.get(owner) if owner is not None else None
        costs = (0.0, 0.0) if batch is None else _conversions(value, owner, shapes[value.name or ""], batch)
        free = owner is not None and may_end_in_float(owner, value)
        found.append(Junction(start, readers, costs[0], 0.0 if free else costs[1]))
    return found


def _conversions(value: ir.Value, owner: ir.Node | None, shape: Shape, batch: int) -> tuple[float, float]:
    """What it costs to quantize and to dequantize a value."""
    before = owner is None or owner.op_type not in LAYOUT_FREE
    behind = value.is_graph_output() or any(u.node.op_type not in LAYOUT_FREE for u in value.uses())
    pooled = POOLED_NS * math.prod(shape) if owner is not None and owner.op_type == "MaxPool" else 0.0
    quantize_ns = conversion_ns(shape, layout=before, batch=batch) + pooled
    return quantize_ns, conversion_ns(shape, layout=behind, batch=batch)


def _pools_behind(
    candidates: list[ir.Node], index: Mapping[ir.Node, int], result: Placement
) -> list[tuple[int, int | None]]:
    """A MaxPool is fast in integers only behind an integer convolution, in whose layout it then runs."""
    pairs: list[tuple[int, int | None]] = []
    for node in candidates:
        if node.op_type == "MaxPool" and node.inputs[0] is not None:
            owner = result.owner(node.inputs[0])
            pairs.append((index[node], index.get(owner) if owner is not None else None))
    return pairs


def _too_dear(node: ir.Node, gain: float) -> Skip:
    said = f"would gain about {gain / 1e3:.1f} us a sample" if gain > 0 else "is slower in integers"
    text = f"{node.op_type}: {said}, and its conversions would cost more"
    return Skip(node.name or "", None, "not-worth-it", text)


def _values(model: ir.Model) -> list[ir.Value]:
    return [*model.graph.inputs, *(v for node in model.graph for v in node.outputs)]


def _readers(value: ir.Value) -> list[ir.Node | None]:
    """The nodes that read a value; None for a reader that is always float (a graph output, a subgraph)."""
    readers: list[ir.Node | None] = [None] if value.is_graph_output() else []
    for use in value.uses():
        inside = use.node.graph is value.graph or value.graph is None
        reads_data = use.node.op_type != "Shape"
        if reads_data:
            readers.append(use.node if inside else None)
    return readers


def _quantized_values(model: ir.Model, result: Placement) -> None:
    """Collect the values that get a Q/DQ pair, and which of them share parameters."""
    chosen = set(result.nodes)
    read = {v for node in result.nodes for v in activations(node)}
    for value in _values(model):
        if value.producer() in result.absorbed:
            continue
        owner = result.owner(value)
        ends_in_float = owner is not None and may_end_in_float(owner, value) and value not in read
        made = owner in chosen and not ends_in_float
        if value in read or made:
            result.values.append(value)
        if made and owner is not None and role_of(owner) == "move":
            source = activations(owner)[0]
            result.parameters_of[value] = source
