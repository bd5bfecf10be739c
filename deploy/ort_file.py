"""What a file in ORT format holds, read from its flatbuffer: no session is opened and nothing is run."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import onnx

from ..core.errors import MissingExtraError, ModelError


class Operator(NamedTuple):
    """An operator as a kernel is registered for it.

    Attributes:
        domain: Its domain; ``ai.onnx`` for the standard operators.
        version: The opset in which it was last changed.
        name: Its name.
    """

    domain: str
    version: int
    name: str


@dataclass
class OrtContents:
    """What the graphs of a file hold, inner graphs included.

    Attributes:
        nodes: The operators of the nodes.
        replayed: Operators that saved runtime optimisations would put in their place.
        types: Element types of what the nodes read and make.
        type_lists: For operators whose kernels can be reduced by type, as ``ai.onnx:Conv``: the types that occur, in
            the JSON of a configuration.
    """

    nodes: set[Operator] = field(default_factory=set)
    replayed: set[Operator] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    type_lists: dict[str, str] = field(default_factory=dict)


def read_ort_file(path: Path) -> OrtContents:
    """Read a file in ORT format.

    Args:
        path: The file.

    Raises:
        ModelError: It is not in ORT format, or is damaged.
        MissingExtraError: ONNX Runtime is not installed.
    """
    tools, schema = load_tools()
    try:
        buffer = bytearray(path.read_bytes())
        if not schema.InferenceSession.InferenceSession.InferenceSessionBufferHasIdentifier(buffer, 0):
            raise ValueError("the identifier ORTM is missing")
        root = schema.InferenceSession.InferenceSession.GetRootAsInferenceSession(buffer, 0)
        return _Reader(tools.OperatorTypeUsageManager(), schema).read(root.Model().Graph())
    except Exception as error:  # a damaged flatbuffer fails in as many ways as Python can
        raise ModelError(
            f"{path.name} cannot be read as an ORT format file: {error}", remedy="convert the model again"
        ) from error


def load_tools() -> tuple[Any, Any]:
    """Import ONNX Runtime's reader of ORT format.

    Returns:
        The package of its tools, and that of the flatbuffer's classes.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
    """
    try:
        with same_log_handlers():
            import onnxruntime.tools.ort_format_model as tools
        # Importable only now: the package above puts its folder on the path.
        schema = importlib.import_module("ort_flatbuffers_py.fbs")
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "cpu") from error
    return tools, schema


@contextmanager
def same_log_handlers() -> Iterator[None]:
    """Take away the log handlers that are installed in the block: importing the tools of ONNX Runtime sets one up."""
    root = logging.getLogger()
    handlers = list(root.handlers)
    try:
        yield
    finally:
        root.handlers[:] = handlers


class _Reader:
    """One walk over the graphs of a file."""

    def __init__(self, usage: Any, schema: Any) -> None:
        self.usage = usage
        self.schema = schema
        self.contents = OrtContents()
        self.unlisted: set[str] = set()

    def read(self, graph: Any) -> OrtContents:
        self._graph(graph, {})
        for operator in self.contents.nodes:
            text = self.usage.get_config_entry(operator.domain, operator.name)
            key = f"{operator.domain}:{operator.name}"
            if text and key not in self.unlisted:
                self.contents.type_lists[key] = text
        return self.contents

    def _graph(self, graph: Any, outer: dict[bytes, Any]) -> None:
        values = {**outer, **{a.Name(): a.Type() for a in _items(graph, "NodeArgs")}}
        for node in _items(graph, "Nodes"):
            self._node(node, values)
            for attribute in _items(node, "Attributes"):
                inner = [attribute.G()] if attribute.G() is not None else []
                for body in (*inner, *_items(attribute, "Graphs")):
                    self._graph(body, values)
        saved = graph.RuntimeOptimizations()
        for optimizer in [] if saved is None else _items(saved, "Records"):
            for record in _items(optimizer, "RuntimeOptimizationRecords"):
                self.contents.replayed.update(_of_identifier(i) for i in _items(record, "ProducedOpIds"))

    def _node(self, node: Any, values: dict[bytes, Any]) -> None:
        operator = Operator(node.Domain().decode() or "ai.onnx", node.SinceVersion(), node.OpType().decode())
        self.contents.nodes.add(operator)
        for name in (*_items(node, "Inputs"), *_items(node, "Outputs")):
            self.contents.types.update(_element_types(values.get(name), self.schema))
        try:
            self.usage.process_node(node, values)
        except (KeyError, ValueError, RuntimeError):
            # The table of type names has no 4-bit integers, no optional values: such an operator keeps all its types.
            self.unlisted.add(f"{operator.domain}:{operator.name}")


def _items(holder: Any, name: str) -> Iterator[Any]:
    item = getattr(holder, name)
    return (item(index) for index in range(getattr(holder, f"{name}Length")()))


def _of_identifier(identifier: bytes) -> Operator:
    """Read ``domain:name:version``, in which the standard domain is empty."""
    domain, name, version = identifier.decode().rsplit(":", 2)
    return Operator(domain or "ai.onnx", int(version), name)


def _element_types(kind: Any, schema: Any) -> set[str]:
    """The element types of a value: one for a tensor, those inside for a sequence or a map."""
    kinds = schema.TypeInfoValue.TypeInfoValue
    if kind is None or kind.Value() is None:
        return set()
    content, which = kind.Value(), kind.ValueType()
    if which == kinds.tensor_type:
        return {_type_name(_as(schema.TensorTypeAndShape.TensorTypeAndShape, content).ElemType())}
    if which == kinds.sequence_type:
        return _element_types(_as(schema.SequenceType.SequenceType, content).ElemType(), schema)
    if which == kinds.map_type:
        held = _as(schema.MapType.MapType, content)
        return {_type_name(held.KeyType())} | _element_types(held.ValueType(), schema)
    return set()


def _as(table: Any, content: Any) -> Any:
    """A union's content as the table that it is."""
    made = table()
    made.Init(content.Bytes, content.Pos)
    return made


def _type_name(number: int) -> str:
    """The flatbuffer counts element types as onnx does."""
    return str(onnx.TensorProto.DataType.Name(number)).lower()
