"""A model's main graph made ready for the question of who takes which node.

ONNX Runtime asks a provider after its first optimisations. Those that decide most are done here too: functions are
inlined, what depends on constants only is computed, identities go. It also folds normalizations into convolutions, which is
not done here: ask about the model that is shipped, cleaned up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir
import onnx_ir.passes.common as stock
from onnxscript.optimizer._constant_folding import FoldConstantsPass

from ..core.artifact import ModelArtifact
from ..core.metrics import node_macs
from ..core.shapes import infer_shapes
from .qdq_units import Unit, find_units

OVERRIDABLE_SINCE = 4
"""The version of the format from which on a caller may replace an initializer that is listed as an input."""


FOLD_ELEMENTS = 1 << 20
"""Constants with more elements are not computed with."""

_QUANTIZATION = frozenset({"DequantizeLinear", "QuantizeLinear"})


def _may_fold(node: ir.Node) -> bool | None:
    """ONNX Runtime keeps Q/DQ nodes of weights, by which providers know their groups."""
    return False if node.op_type in _QUANTIZATION else None


_LIFT = stock.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)
_FOLD = FoldConstantsPass(
    shape_inference=True,
    input_size_limit=FOLD_ELEMENTS,
    output_size_limit=FOLD_ELEMENTS,
    should_fold=_may_fold,
)


@dataclass(frozen=True)
class PreparedGraph:
    """A main graph: functions inlined, constants folded into initializers, sorted, shapes inferred.

    Attributes:
        nodes: Its nodes.
        folded: How many nodes, Constant nodes left out, are gone.
        opsets: The versions of the operator sets.
        groups: The nodes in units, for providers that look for groups of Q/DQ nodes.
        singles: Every node alone, for those that do not.
        fixed: Initializers that no caller can replace.
        macs: Multiply-accumulates of a sample, for nodes that have any; None where a size is unknown.
    """

    nodes: tuple[ir.Node, ...]
    folded: int
    opsets: Mapping[str, int]
    groups: tuple[Unit, ...]
    singles: tuple[Unit, ...]
    fixed: frozenset[ir.Value]
    macs: Mapping[ir.Node, int | None]

    @classmethod
    def of(cls, model: ModelArtifact) -> PreparedGraph:
        """Make a model's graph ready.

        Raises:
            ModelError: The graph contradicts itself.
        """
        graph = model.load()
        ir.passes.Sequential(stock.InlinePass(), stock.NameFixPass(), _LIFT)(graph)
        before = len(graph.graph)
        _infer(graph)  # folding trusts shapes, so they must be proven ones
        ir.passes.Sequential(
            _FOLD,
            _LIFT,
            stock.IdentityEliminationPass(),
            stock.RemoveUnusedNodesPass(),
            stock.TopologicalSortPass(),
        )(graph)
        _infer(graph)
        opsets = {"": 1, **graph.graph.opset_imports}
        listed = set(graph.graph.inputs) if graph.ir_version >= OVERRIDABLE_SINCE else set()
        stored = graph.graph.initializers.values()
        nodes = tuple(node for node in graph.graph if node.op_type != "Constant")  # those left are outputs
        return cls(
            nodes=nodes,
            folded=before - len(nodes),
            opsets=opsets,
            groups=find_units(nodes, opsets),
            singles=tuple(Unit(node) for node in nodes),
            fixed=frozenset(v for v in stored if v.const_value is not None and v not in listed),
            macs=node_macs(graph),
        )

    def macs_ratio(self, taken: Sequence[ir.Node]) -> float | None:
        """Share of the multiply-accumulates in some nodes, 0 to 1; None where a size is unknown or there are none."""
        counts = {node: count for node, count in self.macs.items() if count is not None}
        whole = sum(counts.values())
        if len(counts) < len(self.macs) or not whole:
            return None
        return sum(counts.get(node, 0) for node in taken) / whole


def _infer(model: ir.Model) -> None:
    """Infer shapes; what onnx cannot infer (operators of other domains) keeps the shape that the file declares."""
    values = [value for node in model.graph for value in node.outputs]
    declared = [(value.type, value.shape) for value in values]
    infer_shapes(model)
    for value, (kind, shape) in zip(values, declared, strict=True):
        value.type = value.type or kind
        value.shape = value.shape if value.shape is not None else shape
