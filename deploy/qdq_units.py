"""Units: what an execution provider takes as a whole, one node or a group of DequantizeLinear, operator, QuantizeLinear.

The patterns are those of ONNX Runtime's shared selectors (``core/optimizer/qdq_transformer/selectors_actions``, files
``shared/utils.cc`` and ``qdq_selectors.cc``), by which NNAPI, XNNPACK and QNN find their groups. Two things happen before
they look: a DequantizeLinear that several nodes read is doubled (``EnsureUniqueDQForNodeUnit``), so it may be in several
units here; and a Relu or Clip that the QuantizeLinear behind it implies is dropped, so it belongs to the group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from .node_facts import clip_bounds, operator_version, parameters_of, same_parameters

_DEQUANTIZE, _QUANTIZE = "DequantizeLinear", "QuantizeLinear"
_DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})
_INTEGERS = frozenset({ir.DataType.UINT8, ir.DataType.INT8, ir.DataType.UINT16, ir.DataType.INT16})


@dataclass(frozen=True)
class Unit:
    """What a provider takes or leaves as a whole.

    Attributes:
        target: The node, or the operator in the middle of a group.
        dequantize: The DequantizeLinear nodes before it; none for a single node.
        implied: A Relu or Clip behind it that the quantization implies.
        quantize: The QuantizeLinear nodes behind it.
    """

    target: ir.Node
    dequantize: tuple[ir.Node, ...] = ()
    implied: tuple[ir.Node, ...] = ()
    quantize: tuple[ir.Node, ...] = ()

    @property
    def is_group(self) -> bool:
        """Whether it is a group of Q/DQ nodes around an operator."""
        return bool(self.dequantize)

    @property
    def nodes(self) -> tuple[ir.Node, ...]:
        """Its nodes, in order."""
        return (*self.dequantize, self.target, *self.implied, *self.quantize)

    def dequantizer(self, index: int) -> ir.Node | None:
        """The DequantizeLinear of this group that feeds an input; None where the input is read as it is."""
        value = self.target.inputs[index] if index < len(self.target.inputs) else None
        producer = None if value is None else value.producer()
        return next((node for node in self.dequantize if node is producer), None)

    def source(self, index: int) -> ir.Value | None:
        """What an input reads: in a group, the quantized value before the DequantizeLinear."""
        dequantizer = self.dequantizer(index)
        if dequantizer is not None:
            return dequantizer.inputs[0]
        return self.target.inputs[index] if index < len(self.target.inputs) else None


Types = Sequence[ir.DataType | None]
_TypeCheck = Callable[[Types, Types], bool]


def _same(before: Types, after: Types) -> bool:
    return len({*before, *after}) == 1


def _linear(before: Types, after: Types) -> bool:
    """Input and output alike; signed inputs want signed weights; the bias has 32 bits."""
    if after and before[0] != after[0]:
        return False
    if before[0] == ir.DataType.INT8 and before[1] != ir.DataType.INT8:
        return False
    return len(before) < 3 or before[2] == ir.DataType.INT32


def _first(before: Types, after: Types) -> bool:
    return before[0] == after[0]


def _any(before: Types, after: Types) -> bool:
    return True


@dataclass(frozen=True)
class _Pattern:
    """When the nodes around an operator make a group with it.

    Attributes:
        types: Whether the quantized types fit, given those before and behind.
        inputs: How many inputs come from a DequantizeLinear, at least and at most; None: all that there are.
        quantize: Whether every output must go to one QuantizeLinear and nowhere else.
        equal: Whether scale and zero-point must be the same before and behind.
        since: The only version of the operator, where there is one.
        outputs: How many outputs are quantized; None: all that there are.
    """

    types: _TypeCheck
    inputs: tuple[int, int] | None = None
    quantize: bool = True
    equal: bool = False
    since: int | None = None
    outputs: int | None = None


_MOVES = _Pattern(_same, inputs=(1, 1), equal=True)
_UNARY = _Pattern(_same, inputs=(1, 1))
_ALL = _Pattern(_same)

_PATTERNS: dict[str, _Pattern] = {
    **dict.fromkeys("Expand Flatten Gather Reshape Resize Squeeze Tile Transpose Unsqueeze".split(), _MOVES),
    "MaxPool": _Pattern(_same, inputs=(1, 1), equal=True, since=12),
    **dict.fromkeys(
        "Abs Asin Atan AveragePool Ceil Clip Cos DepthToSpace Elu Exp Floor Gelu GlobalAveragePool GlobalMaxPool HardSwish "
        "LRN LeakyRelu Log LogSoftmax Neg ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu Round Sigmoid Sign Sin "
        "Slice Softmax SpaceToDepth Sqrt Split Tanh".split(),
        _UNARY,
    ),
    **dict.fromkeys("Add Concat Div GridSample Max Min Mul PRelu Pow Sub".split(), _ALL),
    **dict.fromkeys(("ArgMax", "ArgMin"), _Pattern(_any, inputs=(1, 1), quantize=False)),
    **dict.fromkeys(("Conv", "ConvTranspose", "MatMul"), _Pattern(_linear)),
    "Gemm": _Pattern(_linear, quantize=False),
    **dict.fromkeys(("InstanceNormalization", "LayerNormalization"), _Pattern(_first)),
    "BatchNormalization": _Pattern(_first, inputs=(3, 5)),
    **dict.fromkeys("Equal Greater GreaterOrEqual Less LessOrEqual".split(), _Pattern(_same, quantize=False)),
    "TopK": _Pattern(_same, inputs=(1, 1), outputs=1),
    "Where": _Pattern(_same, inputs=(2, 2)),
    "Pad": _Pattern(_same, inputs=(1, 2)),
}
"""From ``GetMiscOpVersionsMap`` to ``GetTopKOpVersionsMap`` in ``shared/utils.cc``, checks in ``qdq_selectors.cc``."""


def find_units(nodes: Iterable[ir.Node], opsets: Mapping[str, int]) -> tuple[Unit, ...]:
    """Divide the nodes of a graph into units.

    Args:
        nodes: Those of the main graph, sorted, constants as initializers, types inferred.
        opsets: The versions of its operator sets.

    Returns:
        The units in the order of their targets. A DequantizeLinear that feeds several groups is in each, and alone as well
        where something outside of groups reads it.
    """
    ordered = tuple(nodes)
    groups = {node: unit for node in ordered if (unit := _group(node, opsets)) is not None}
    inside = {node for unit in groups.values() for node in (*unit.implied, *unit.quantize)}
    units = []
    for node in ordered:
        if node in inside or _only_in_groups(node, groups):
            continue
        units.append(groups.get(node) or Unit(node))
    return tuple(units)


def _only_in_groups(node: ir.Node, groups: dict[ir.Node, Unit]) -> bool:
    users = [use.node for use in node.outputs[0].uses()] if node.op_type == _DEQUANTIZE else []
    is_inside = all(user in groups and node in groups[user].dequantize for user in users)
    return bool(users) and is_inside and not node.outputs[0].is_graph_output()


def _group(node: ir.Node, opsets: Mapping[str, int]) -> Unit | None:
    pattern = _PATTERNS.get(node.op_type) if node.domain in _DOMAINS else None
    if pattern is None or pattern.since not in {None, operator_version(node, opsets)}:
        return None
    present = [v for v in node.inputs if v is not None]
    before = [p for v in present if (p := v.producer()) is not None and p.op_type == _DEQUANTIZE]
    low, high = pattern.inputs or (len(present), len(present))
    if not before or not low <= len(before) <= high:
        return None
    implied, behind = _behind([v for v in node.outputs if v.name][: pattern.outputs])
    if pattern.quantize and not behind:
        return None
    if not pattern.types([_input_type(dq) for dq in before], [q.outputs[0].dtype for q in behind]):
        return None
    if pattern.equal and not all(same_parameters(before[0], q) for q in behind):
        return None
    return Unit(node, tuple(dict.fromkeys(before)), implied, behind)


def _input_type(node: ir.Node) -> ir.DataType | None:
    return None if node.inputs[0] is None else node.inputs[0].dtype


def _behind(outputs: Sequence[ir.Value]) -> tuple[tuple[ir.Node, ...], tuple[ir.Node, ...]]:
    """An implied Relu or Clip, and one QuantizeLinear for each output; nothing where one of them has another reader."""
    readers = [_only_reader(value) for value in outputs]
    if len(readers) == 1 and readers[0] is not None and readers[0].op_type in {"Clip", "Relu"}:
        following = _only_reader(readers[0].outputs[0])
        if following is not None and following.op_type == _QUANTIZE and _implies(following, readers[0]):
            return (readers[0],), (following,)
    found = [r for r in readers if r is not None and r.op_type == _QUANTIZE]
    return (), tuple(found) if len(found) == len(outputs) else ()


def _only_reader(value: ir.Value) -> ir.Node | None:
    uses = list(value.uses())
    return uses[0].node if len(uses) == 1 and uses[0].idx == 0 and not value.is_graph_output() else None


def _implies(quantize: ir.Node, activation: ir.Node) -> bool:
    """Whether the quantized range lies within what a Relu or Clip lets pass."""
    parameters, kind, bounds = parameters_of(quantize), quantize.outputs[0].dtype, clip_bounds(activation)
    if parameters is None or bounds is None or kind not in _INTEGERS:
        return False
    scale, zero = parameters
    limits = np.iinfo(kind.numpy())
    lowest, highest = (limits.min - zero.max()) * scale.max(), (limits.max - zero.min()) * scale.max()
    return bool(bounds[0] <= lowest and highest <= bounds[1])
