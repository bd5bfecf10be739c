"""Cleanup: the same function in fewer nodes, with every weight an initializer.

Other passes rely on what this one leaves: no function calls, no Constant nodes, no BatchNormalization behind a
linear operator, unique names, nodes in topological order. Names, types and order of the graph's inputs and
outputs stay, and so does the opset.
"""

from __future__ import annotations

import math
from typing import ClassVar

import onnx_ir as ir
import onnx_ir.passes.common as stock
from onnxscript.optimizer._constant_folding import FoldConstantsPass, Replacement
from onnxscript.rewriter import RewritePass
from onnxscript.rewriter.rules import common as rules

from ..core.errors import ModelError
from ..core.reports import Change
from ..core.shapes import infer_shapes
from ..core.tensors import input_specs, output_specs
from .base import GraphPass
from .folding import fold_affine
from .one_dimension import lay_flat
from .picking import pick_before_joining
from .recurrent_states import drop_zero_states
from .shape_values import fold_shape_values, write_scalars
from .sharing import separate_vectors

FOLD_INPUT_ELEMENTS = 1 << 20
"""Constants with more elements than this are not computed with (a weight's Transpose excepted)."""

FOLD_OUTPUT_ELEMENTS = 4096
"""A folded constant holds no more elements than this, or no more than the constants it replaces."""

FIRST_WITH_OWN_WEIGHTS = 4
"""The first version of the format whose initializers need not be graph inputs."""

OPSET_WHERE_NONE = 13
"""The opset of the standard operators that other passes may add to a model of other domains only."""

_RULES = (
    rules.add_0_rule,
    rules.sub_0_rule,
    rules.mul_by_1_rule,
    rules.div_by_1_rule,
    rules.dropout_zero_rule,
    rules.dropout_inference_rule,
    rules.no_op_cast_rule,
    rules.no_op_expand_rule,
    rules.no_op_transpose_rule,
    rules.no_op_static_scatter_nd_rule,
    rules.collapse_slice_rule,
    rules.reshape_reshape_rule,
    rules.squeeze_reshape_1d_rule,
    rules.transpose_transpose_rule,
    rules.unsqueeze_unsqueeze_rule,
    rules.materialize_reshape_shape_rule,
    rules.successive_relu_rule,
    rules.normalize_pad_format_conv_rule,
)

_RULES_FROM_OPSET_11 = (
    rules.successive_relu_clip_rule,
    rules.successive_clip_relu_rule,
    rules.fuse_pad_into_conv_rule,
)
"""Rules that read the bounds of a Clip, or the widths of a Pad, from inputs; before they were attributes."""


_SEQUENCES_FROM_OPSET = {"ConcatFromSequence": 13, "SplitToSequence": 18}
"""Where onnxscript may fold sequences: it writes Unsqueeze and Split as they are from these opsets on."""


class CleanupPass(GraphPass):
    """Inline, fold, and remove what does not change the result.

    1. Functions are inlined and Constant nodes become initializers; weights of the format's version 3 are no graph
       inputs any more.
    2. Sizes that the graph computes for itself are folded, and constant expressions within
       :data:`FOLD_INPUT_ELEMENTS` and :data:`FOLD_OUTPUT_ELEMENTS`.
    3. Exact rewrite rules of onnxscript remove no-ops, join successive reshapes, and move Pad into Conv.
    4. First states of recurrent layers that are zero are left out; normalizations and channel-wise constants are folded into the linear operator before them.
    5. Networks of one dimension are laid along the last axis, where kernels are faster.
    6. Identities, repeated expressions and unused nodes go; names are made unique; nodes are sorted.

    Equal weights stay apart, and vectors that an exporter had merged are given back to each layer, so that pruning
    does not couple two layers whose biases happen to be equal.
    """

    name: ClassVar[str] = "cleanup"

    def rewrite(self, model: ir.Model) -> bool:
        """Clean the graph in place."""
        infer_shapes(model)  # the folding limits trust shapes, so they must be proven ones
        nodes = _count(model)
        interface = (input_specs(model), output_specs(model))
        types = _output_types(model)
        opset = model.opset_imports.get("", OPSET_WHERE_NONE)
        _own_weights(model)
        _run(model, _preparation())
        infer_shapes(model)  # of what was inlined
        fold_shape_values(model)
        pick_before_joining(model)
        separate_vectors(model)
        _run(model, _simplification(model))
        write_scalars(model)
        drop_zero_states(model)
        changes, self.report.skipped = fold_affine(model)
        infer_shapes(model)
        if lay_flat(model):
            _run(model, [_rewriting(model)])  # joins the exchange of axes with what stands beside it
        _run(model, _finish())
        model.opset_imports[""] = opset
        _restore_types(model, types)
        if interface != (input_specs(model), output_specs(model)):
            raise ModelError(
                "cleanup changed the graph's inputs or outputs", remedy="please report this model"
            )
        left = _count(model)
        self.report.applied = [*changes, Change(model.graph.name or "graph", "nodes", nodes, left)]
        self.report.details = {"nodes_removed": nodes - left, "folded": len(changes)}
        return True


def _own_weights(model: ir.Model) -> None:
    """Take weights out of the graph's inputs where they had to be there.

    Up to version 3 of the format every initializer was listed as an input. From 4 on one that is listed may be replaced
    by the caller: that is a promise, and it is kept.
    """
    if model.ir_version < FIRST_WITH_OWN_WEIGHTS:
        fed = [value for value in model.graph.inputs if not value.is_initializer()]
        model.graph.inputs.clear()
        model.graph.inputs.extend(fed)
        model.ir_version = FIRST_WITH_OWN_WEIGHTS


def _preparation() -> list[ir.passes.PassBase]:
    return [
        stock.InlinePass(),
        stock.NameFixPass(),
        stock.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
    ]


def _rewriting(model: ir.Model) -> ir.passes.PassBase:
    opset = model.graph.opset_imports.get("", 0)
    return RewritePass(_RULES if opset < 11 else (*_RULES, *_RULES_FROM_OPSET_11))


class _FoldConstants(FoldConstantsPass):
    """onnxscript's folding, but for three faults of it."""

    def process_node(self, node: ir.Node, is_function: bool) -> Replacement | None:
        """Leave alone what the opset has no other form of or cannot be folded; a Cast rounds as its CastLike did."""
        if self._opset_imports.get("", 0) < _SEQUENCES_FROM_OPSET.get(node.op_type, 0):
            return None
        try:
            replacement = super().process_node(node, is_function=is_function)
        except RuntimeError:  # a SplitToSequence by a number that is not constant, for one
            return None
        if replacement is not None and node.op_type == "CastLike":
            for made in replacement.new_nodes:
                made.attributes.update(node.attributes)
        return replacement


def _simplification(model: ir.Model) -> list[ir.passes.PassBase]:
    loop = [
        _FoldConstants(
            shape_inference=True,
            input_size_limit=FOLD_INPUT_ELEMENTS,
            output_size_limit=FOLD_OUTPUT_ELEMENTS,
            should_fold=_may_fold,
        ),
        # Ahead of the rules: they pass by what a node reads that nothing needs, and remove such nodes without a word.
        stock.RemoveUnusedNodesPass(),
        _rewriting(model),
    ]
    return [ir.passes.PassManager(loop, steps=4, early_stop=True), *_lift()]


def _lift() -> list[ir.passes.PassBase]:
    return [stock.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)]


def _finish() -> list[ir.passes.PassBase]:
    return [
        *_lift(),
        stock.IdentityEliminationPass(),
        stock.CommonSubexpressionEliminationPass(),
        stock.RemoveUnusedNodesPass(),
        stock.RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]
        stock.RemoveUnusedOpsetsPass(),
        stock.OutputFixPass(),
        stock.TopologicalSortPass(),
        stock.NameFixPass(),
    ]


def _run(model: ir.Model, passes: list[ir.passes.PassBase]) -> None:
    try:
        ir.passes.Sequential(*passes)(model)
    except ir.passes.PassError as error:
        raise ModelError(
            f"the graph cannot be cleaned up: {error.__cause__ or error}",
            remedy="check the model with onnx.checker, full_check=True",
        ) from error


def _may_fold(node: ir.Node) -> bool | None:
    """Refuse to fold what has no proven size, or one that is larger than allowed; None leaves it to the rules."""
    for value in node.outputs:
        if value.is_graph_output() or value.shape is None or value.shape.is_dynamic():
            return False
        if math.prod(value.shape.numpy()) > max(FOLD_OUTPUT_ELEMENTS, _input_elements(node)):
            return False
    return True if node.op_type == "ConstantOfShape" else None


def _input_elements(node: ir.Node) -> int:
    return sum(v.const_value.size for v in node.inputs if v is not None and v.const_value is not None)


def _count(model: ir.Model) -> int:
    return sum(1 for _ in ir.traversal.RecursiveGraphIterator(model.graph))


def _output_types(model: ir.Model) -> list[tuple[ir.TypeProtocol | None, ir.Shape | None]]:
    return [(v.type, v.shape) for v in model.graph.outputs]


def _restore_types(model: ir.Model, types: list[tuple[ir.TypeProtocol | None, ir.Shape | None]]) -> None:
    """The optimizer narrows declared output shapes by what it infers; a model keeps what it declared."""
    for value, (kind, shape) in zip(model.graph.outputs, types, strict=True):
        value.type, value.shape = kind, shape
