"""The opset and the format's version of a model, lowered to those of a device's runtime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from ..calib_data.runner import OrtRunner
from ..core import ModelArtifact, infer_shapes
from ..core.errors import ExpectationError, ModelError, UsageError
from ..core.protos import DEFAULT_DOMAINS
from ..core.tensors import Array, Feed
from .node_facts import label
from .opset_conversion import convert_opset

OLDEST_OPSET = 13
"""Further down onnx's converter changes what a Softmax computes and says nothing; no platform asks for it."""

OLDEST_IR_VERSION = 7
"""What came with that opset; further down functions and weights are written in other ways."""

_FUNCTIONS_IR_VERSION = 8

_IR_VERSION_OF_TYPE: Mapping[str, int] = MappingProxyType(
    {
        "FLOAT8E4M3FN": 9,
        "FLOAT8E4M3FNUZ": 9,
        "FLOAT8E5M2": 9,
        "FLOAT8E5M2FNUZ": 9,
        "UINT4": 10,
        "INT4": 10,
        "FLOAT4E2M1": 11,
        "FLOAT8E8M0": 12,
        "UINT2": 13,
        "INT2": 13,
        "FLOAT6E2M3": 14,
        "FLOAT6E3M2": 14,
    }
)
"""Element types by the version of the format that brought them, as ``onnx.proto`` states."""

_TOLERANCE = 1e-4
"""Of the largest output: what an operator that is written out may round otherwise."""


def lower(
    model: ModelArtifact, *, opset: int, ir_version: int, feeds: Iterable[Feed] = ()
) -> tuple[ModelArtifact, tuple[str, ...]]:
    """Lower the opset and the format's version of a model where they are above a runtime's; never raise one.

    The result passes every check that an opened model passes, strict inference of types and shapes included.
    Operators of other domains stay as they are.

    Args:
        model: The model; left as it is, and returned where there is nothing to do.
        opset: The newest opset that the runtime reads.
        ir_version: The newest version of the format that it reads.
        feeds: Batches on which both models must agree.

    Returns:
        The model, and what was changed, in sentences.

    Raises:
        ExpectationError: A node or a type does not exist there, or the outputs differ; it is named.
        UsageError: The versions asked for are older than what can be lowered to.
    """
    if opset < OLDEST_OPSET or ir_version < OLDEST_IR_VERSION:
        raise UsageError(
            f"a model cannot be lowered to opset {opset} and version {ir_version} of the format",
            remedy=f"ask for opset {OLDEST_OPSET} and version {OLDEST_IR_VERSION}, or newer",
        )
    graph = model.load()
    if graph.ir_version > ir_version:
        _refuse_newer_types(model, ir_version)
    notes: list[str] = []
    current = next((v for domain, v in graph.opset_imports.items() if domain in DEFAULT_DOMAINS), 0)
    if graph.functions and (current > opset or ir_version < _FUNCTIONS_IR_VERSION):
        notes.append(f"calls of {len(graph.functions)} functions are replaced by what they hold")
        InlinePass()(graph)
    if current > opset:
        graph, written_out = convert_opset(graph, opset)
        others = sorted(
            {n.domain for n in ir.traversal.RecursiveGraphIterator(graph.graph)} - DEFAULT_DOMAINS
        )
        notes += [f"opset {current} is lowered to {opset}", *written_out]
        notes += [f"operators of {domain} are left as they are" for domain in others]
    if graph.ir_version > ir_version:
        notes.append(f"version {graph.ir_version} of the format is lowered to {ir_version}")
        graph.ir_version = ir_version
    if not notes:
        return model, ()
    lowered = _checked(graph, model)
    _require_same(model, lowered, feeds)
    return lowered, tuple(notes)


def _refuse_newer_types(model: ModelArtifact, ir_version: int) -> None:
    graph = model.load()
    infer_shapes(graph)  # what an inner value holds is not always written down
    for value, dtype in _typed_values(graph):
        needed = _IR_VERSION_OF_TYPE.get(dtype.name, 0)
        if needed > ir_version:
            raise ExpectationError(
                f"{value} is of type {dtype.name.lower()}, which came with version {needed} of the format, and "
                f"{ir_version} is asked for",
                remedy="quantize to other types, or ship the model with a newer runtime",
            )


def _typed_values(model: ir.Model) -> Iterator[tuple[str, ir.DataType]]:
    """Everything in a model that has an element type: values, weights, and tensors in attributes."""
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in (*graph.inputs, *graph.initializers.values()):
            if value.dtype is not None:
                yield f"value {value.name!r}", value.dtype
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        for value in node.outputs:
            if value.dtype is not None:
                yield f"value {value.name!r}", value.dtype
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.TENSOR:
                yield f"attribute {attribute.name!r} of node {label(node)!r}", attribute.as_tensor().dtype


def _checked(graph: ir.Model, original: ModelArtifact) -> ModelArtifact:
    try:
        lowered = ModelArtifact.of(graph)
    except ModelError as error:
        raise ExpectationError(
            f"{original.name}, lowered, is not valid: {error.cause}",
            remedy="export the model with an older opset, or ship it with a newer runtime",
        ) from error
    if (lowered.inputs, lowered.outputs) != (original.inputs, original.outputs):
        raise ExpectationError(
            f"lowering changed the inputs or outputs of {original.name}",
            remedy="export the model with an older opset, or ship it with a newer runtime",
        )
    return replace(lowered, name=original.name)


def _require_same(model: ModelArtifact, lowered: ModelArtifact, feeds: Iterable[Feed]) -> None:
    batches = list(feeds)
    names = [spec.name for spec in model.outputs]
    runs = (OrtRunner(threads=1).run(m.load(), batches, names) for m in (model, lowered))
    for before, after in zip(*runs, strict=True) if batches else ():
        for name in names:
            if not _is_same(before[name], after[name]):
                raise ExpectationError(
                    f"lowering {model.name} changes its output {name!r}",
                    remedy="export the model with an older opset, or ship it with a newer runtime",
                )


def _is_same(before: Array, after: Array) -> bool:
    """Equal, or floats within the tolerance."""
    if before.shape != after.shape or before.dtype != after.dtype:
        return False
    if before.dtype.kind in "biuSUO":
        return bool(np.array_equal(before, after))
    left, right = before.astype(np.float64), after.astype(np.float64)
    scale = float(np.abs(left[np.isfinite(left)]).max(initial=0.0)) or 1.0
    return bool(np.allclose(left, right, rtol=0.0, atol=_TOLERANCE * scale, equal_nan=True))
