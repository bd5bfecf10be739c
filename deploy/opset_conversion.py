"""The standard operators of a graph, written in an older opset.

What onnx's converter loses is put back: contents of large weights never reach it, metadata is carried over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import onnx
import onnx.inliner
import onnx_ir as ir

from ..core.detach import attach, detached_proto
from ..core.errors import ExpectationError
from ..core.inference import SMALL_ELEMENTS, without_weights
from ..core.protos import DEFAULT_DOMAINS, all_nodes, graphs_within, label

_REST = "sardonyx.unchanged"
"""The domain in which operators wait that the converter has no rule for and that do not change."""

_MOST_EXPANSIONS = 16
_TYPES_ADDED = re.compile(r"\(Opset \d+ change\): Extend supported types [^.\n]*\.|\s+")
"""What a definition says of types that it took on, and the spaces around."""

_WHERE = re.compile(r"^.*?Assertion `[^`]*` failed: ")


def convert_opset(model: ir.Model, opset: int) -> tuple[ir.Model, list[str]]:
    """Write the standard operators in an older opset.

    An operator that the older opset does not have is replaced by its definition, where onnx states one in operators
    that it has.

    Args:
        model: The graph, without functions; left as it is.
        opset: The opset, older than the graph's.

    Returns:
        The graph, and what was done to it besides, in sentences.

    Raises:
        ExpectationError: A node cannot be written so; it is named.
    """
    message, kept = detached_proto(model, SMALL_ELEMENTS)
    light, notes = _without_newer(without_weights(message), opset)
    small = {tensor.name for tensor in light.graph.initializer}
    large = [tensor for tensor in message.graph.initializer if tensor.name not in small]
    converted = _converted(light, opset)
    rejoined = _rejoined(message, converted, large)
    graph: ir.Model = ir.from_proto(rejoined)
    attach(graph, kept)
    return graph, notes


def _without_newer(model: onnx.ModelProto, opset: int) -> tuple[onnx.ModelProto, list[str]]:
    """Replace operators that are newer than an opset by their definitions."""
    notes: list[str] = []
    for _ in range(_MOST_EXPANSIONS):
        newer = [n for n in all_nodes(model) if _is_standard(n) and not onnx.defs.has(n.op_type, opset, "")]
        if not newer:
            return model, notes
        current = _opset(model)
        for node in newer:
            schema: Any = onnx.defs.get_schema(node.op_type, current, "")
            if not (schema.has_function or schema.has_context_dependent_function):
                raise _refusal(node, opset, f"it came with opset {schema.since_version}")
        wanted = sorted({node.op_type for node in newer})
        try:
            typed = onnx.shape_inference.infer_shapes(model, data_prop=True)
            model = onnx.inliner.inline_selected_functions(typed, [("", op) for op in wanted], False, True)
        except RuntimeError as error:
            raise _refusal(
                newer[0], opset, f"its definition cannot be written out: {_short(error)}"
            ) from error
        notes += [f"{label(n)}: {n.op_type} is written out, opset {opset} does not have it" for n in newer]
    raise _refusal(newer[0], opset, "its definition needs operators that are newer too")


def _converted(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Run the converter; operators that it has no rule for are set aside where nothing but types changed."""
    current = _opset(model)
    aside: set[str] = set()
    while True:
        try:
            with_rest = _renamed(model, aside, "", _REST)
            done = onnx.version_converter.convert_version(with_rest, opset)
            return _renamed(done, aside, _REST, "")
        except (RuntimeError, ValueError) as error:
            node, reason = _culprit(model, opset, aside) or (None, _short(error))
            if node is None:
                raise ExpectationError(
                    f"opset {current} cannot be lowered to {opset}: {reason}", remedy=_remedy(opset)
                ) from error
            if node.op_type in aside or not _changed_types_alone(node.op_type, current, opset):
                raise _refusal(node, opset, reason) from error
            aside.add(node.op_type)


def _culprit(model: onnx.ModelProto, opset: int, aside: set[str]) -> tuple[onnx.NodeProto, str] | None:
    """The first node that cannot be converted by itself, and why."""
    typed = onnx.shape_inference.infer_shapes(model, data_prop=True)
    known = {v.name: v for v in (*typed.graph.input, *typed.graph.value_info, *typed.graph.output)}
    tensors = {t.name: t for t in typed.graph.initializer}
    constants = {n.output[0]: n for n in typed.graph.node if n.op_type == "Constant" and _is_standard(n)}
    for node in typed.graph.node:
        if node.op_type in aside:
            continue
        read = dict.fromkeys(name for n in (node, *_inner(node)) for name in n.input if name)
        alone = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
        alone.graph.name = "alone"
        alone.graph.node.extend([*(constants[name] for name in read if name in constants), node])
        alone.graph.input.extend(
            known[n] for n in read if n in known and n not in tensors and n not in constants
        )
        alone.graph.initializer.extend(tensors[name] for name in read if name in tensors)
        alone.graph.output.extend(known[name] for name in node.output if name in known)
        try:
            onnx.version_converter.convert_version(alone, opset)
        except (RuntimeError, ValueError) as error:
            return node, _short(error)
    return None


def _changed_types_alone(op_type: str, current: int, opset: int) -> bool:
    """Whether two versions of an operator say and take the same, but for the element types."""
    new, old = (onnx.defs.get_schema(op_type, version, "") for version in (current, opset))
    said = [_TYPES_ADDED.sub("", schema.doc or "") for schema in (new, old)]
    return said[0] == said[1] and _form(new) == _form(old)


def _form(schema: onnx.defs.OpSchema) -> tuple[object, ...]:
    attributes = {name: (a.type, a.required, str(a.default_value)) for name, a in schema.attributes.items()}
    values = [(v.name, v.option, v.is_homogeneous, v.min_arity) for v in (*schema.inputs, *schema.outputs)]
    return attributes, values, len(schema.inputs)


def _renamed(model: onnx.ModelProto, op_types: set[str], old: str, new: str) -> onnx.ModelProto:
    """A copy in which some operators are in another domain."""
    if not op_types:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in all_nodes(copy):
        if node.op_type in op_types and node.domain == old:
            node.domain = new
    others = [entry for entry in copy.opset_import if entry.domain != _REST]
    del copy.opset_import[:]
    copy.opset_import.extend(others)
    if new == _REST:
        copy.opset_import.add(domain=_REST, version=1)
    return copy


def _rejoined(
    message: onnx.ModelProto, converted: onnx.ModelProto, large: list[onnx.TensorProto]
) -> onnx.ModelProto:
    """The message with the converted nodes and small constants in it; everything else as it was."""
    whole = onnx.ModelProto()
    whole.CopyFrom(message)
    described = {node.output[0]: node for node in all_nodes(message) if node.output}
    for node in all_nodes(converted):
        same = described.get(node.output[0]) if node.output else None
        if same is not None and same.op_type == node.op_type and not node.metadata_props:
            node.metadata_props.extend(same.metadata_props)
    for name in ("node", "value_info", "initializer"):
        whole.graph.ClearField(name)
    whole.graph.node.extend(converted.graph.node)
    whole.graph.initializer.extend([*large, *converted.graph.initializer])
    del whole.opset_import[:]
    whole.opset_import.extend(converted.opset_import)
    return whole


def _inner(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    for graph in graphs_within([node]):
        yield from graph.node


def _is_standard(node: onnx.NodeProto) -> bool:
    return node.domain in DEFAULT_DOMAINS


def _opset(model: onnx.ModelProto) -> int:
    return next(int(entry.version) for entry in model.opset_import if entry.domain in DEFAULT_DOMAINS)


def _short(error: Exception) -> str:
    """The converter's words, without the place in its sources."""
    return _WHERE.sub("", " ".join(str(error).split()))


def _refusal(node: onnx.NodeProto, opset: int, reason: str) -> ExpectationError:
    return ExpectationError(
        f"{label(node)}: {node.op_type} cannot be written in opset {opset}: {reason}", remedy=_remedy(opset)
    )


def _remedy(opset: int) -> str:
    return f"export the model with opset {opset}, or ship it with a newer runtime"
