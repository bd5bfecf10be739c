"""Changing the float type in which a graph computes, node by node, with a Cast wherever two types meet.

One mechanism serves every direction: a value has the type that its producer makes, an input of a node wants the
type that the node computes in, and where the two differ one Cast, shared by all that want it, stands behind the
producer. What an operator takes is read from its schema, each input and output for itself, so that the scales of
a Resize or the bounds of a NonMaxSuppression stay what they have to be. What If, Loop and Scan hand in and out
changes with them; nodes inside their graphs are nodes like all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as stock

from ...core.errors import ModelError
from ...core.protos import DEFAULT_DOMAINS
from ...core.shapes import infer_shapes
from ...core.tensors import Array

CONTROL_FLOW = frozenset({"If", "Loop", "Scan"})
"""Operators that hold graphs; what crosses their border always has the new type."""

RUNTIME_DOMAIN = "com.microsoft"
"""The domain of ONNX Runtime's own operators, of which onnx has no schemas."""

_TYPE_ATTRIBUTES: dict[str, tuple[str, int]] = {
    "Bernoulli": ("dtype", 0),
    "BlackmanWindow": ("output_datatype", ir.DataType.FLOAT),
    "Cast": ("to", 0),
    "DequantizeLinear": ("output_dtype", 0),
    "EyeLike": ("dtype", ir.DataType.FLOAT),
    "HammingWindow": ("output_datatype", ir.DataType.FLOAT),
    "HannWindow": ("output_datatype", ir.DataType.FLOAT),
    "MelWeightMatrix": ("output_datatype", ir.DataType.FLOAT),
    "RandomNormal": ("dtype", ir.DataType.FLOAT),
    "RandomNormalLike": ("dtype", 0),
    "RandomUniform": ("dtype", ir.DataType.FLOAT),
    "RandomUniformLike": ("dtype", 0),
    "SequenceEmpty": ("dtype", ir.DataType.FLOAT),
}
"""The attribute in which an operator states the type of its output, and its default; 0 follows an input."""

_PREPARATION = (
    stock.InlinePass,
    stock.NameFixPass,
    lambda: stock.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
)


@dataclass(frozen=True)
class Slot:
    """An input or output of a node.

    Attributes:
        node: The node.
        index: Which one.
        is_output: Whether it is an output.
    """

    node: ir.Node
    index: int
    is_output: bool = False


@dataclass(frozen=True)
class Retyping:
    """Which types change into which.

    Attributes:
        sources: Types that change.
        to: What they change into.
        admits: Whether an input or output of a node takes ``to``.
        keep_borders: Whether the inputs and outputs of the model keep their types.
    """

    sources: frozenset[ir.DataType]
    to: ir.DataType
    admits: Callable[[Slot], bool]
    keep_borders: bool = True


def prepared(model: ir.Model) -> ir.Model:
    """A copy without functions and Constant nodes, every value of known type.

    Raises:
        ModelError: The graph contradicts itself, or the type of a value is not known.
    """
    copy = model.clone()
    ir.passes.Sequential(*(make() for make in _PREPARATION))(copy)
    infer_shapes(copy)
    for node in ir.traversal.RecursiveGraphIterator(copy.graph):
        for value in node.outputs:
            if value.type is None and value.uses():
                raise ModelError(
                    f"the type of {value.name!r} is not known: {node.op_type} {node.name!r} is no operator of onnx",
                    remedy="write the types of all values into the model (value_info), or export it again",
                )
    return copy


def takes(slot: Slot, kind: ir.DataType, opsets: Mapping[str, int]) -> bool | None:
    """Whether an input or output can have a type by the operator's schema; None where onnx has no schema."""
    node = slot.node
    domain = "" if node.domain in DEFAULT_DOMAINS else node.domain
    version = opsets.get(node.domain, opsets.get(domain))
    if version is None or not onnx.defs.has(node.op_type, version, domain):
        return None
    schema = onnx.defs.get_schema(node.op_type, version, domain)
    formals = schema.outputs if slot.is_output else schema.inputs
    return any(
        f"tensor({kind.name.lower()})" in text for text in formals[min(slot.index, len(formals) - 1)].types
    )


def retype(model: ir.Model, retyping: Retyping) -> int:
    """Change types all through a graph.

    Args:
        model: As :func:`prepared` leaves it; changed in place.
        retyping: What changes.

    Returns:
        How many Casts were inserted.

    Raises:
        ModelError: Two types meet in a value that is no tensor, or a weight does not fit the new type.
    """
    work = _Work(model, retyping)
    work.settle_values()
    work.settle_uses()
    return len(work.casts)


@dataclass
class _Work:
    """One change of types under way.

    Attributes:
        model: The graph.
        rule: What changes.
        before: The type that each value had, of those that change.
        casts: For each value and type, the Cast's output.
        copies: For each initializer and type, the copy.
        inserted: The Casts.
        names: Names that are taken.
    """

    model: ir.Model
    rule: Retyping
    before: dict[ir.Value, ir.DataType] = field(default_factory=dict)
    casts: dict[tuple[ir.Value, ir.DataType], ir.Value] = field(default_factory=dict)
    copies: dict[tuple[ir.Value, ir.DataType], ir.Value] = field(default_factory=dict)
    inserted: set[ir.Node] = field(default_factory=set)
    names: set[str | None] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.names = {v.name for g in self.graphs() for v in (*g.inputs, *g.initializers.values())}
        self.names |= {v.name for g in self.graphs() for n in g for v in n.outputs}

    def graphs(self) -> Iterator[ir.Graph]:
        """The main graph and all inside it."""
        yield self.model.graph
        yield from self.model.graph.subgraphs()

    def settle_values(self) -> None:
        """Give every value the type that its producer makes now."""
        for graph in self.graphs():
            own = graph is self.model.graph
            for value in (*graph.initializers.values(), *graph.inputs):
                self._note(value)
            for value in graph.inputs:
                if value in self.before and not (own and self.rule.keep_borders):
                    self._set(value)
            for node in graph:
                for index, value in enumerate(node.outputs):
                    if self._note(value) and self.rule.admits(Slot(node, index, is_output=True)):
                        self._set(value)
                        _state_type(node, self.rule.to)

    def settle_uses(self) -> None:
        """Give every use the type that it wants."""
        for graph in list(self.graphs()):
            for node in list(graph):
                for index, value in enumerate(node.inputs):
                    if value is not None and value in self.before and node not in self.inserted:
                        wanted = self.rule.to if self.rule.admits(Slot(node, index)) else self.before[value]
                        node.replace_input_with(index, self._as(value, wanted))
            borders = graph is self.model.graph and self.rule.keep_borders
            for index, value in enumerate(graph.outputs):
                if value in self.before:
                    self._settle_output(graph, index, value, self.before[value] if borders else self.rule.to)
        for (value, _), copy in self.copies.items():
            if copy is not value and not value.uses() and not value.is_graph_output():
                _scope(value).initializers.pop(value.name or "")

    def _note(self, value: ir.Value) -> bool:
        kind = value.dtype
        if kind is None or kind not in self.rule.sources:
            return False
        self.before[value] = kind
        return True

    def _set(self, value: ir.Value) -> None:
        if value.is_initializer():  # a default that the caller may replace
            value.const_value = _converted(value, self.rule.to)
        value.type = _with_dtype(value.type, self.rule.to)

    def _settle_output(self, graph: ir.Graph, index: int, value: ir.Value, wanted: ir.DataType) -> None:
        """Let an output of a graph have the wanted type under its name."""
        if value.dtype == wanted:
            return
        result = self._as(value, wanted)
        if graph is self.model.graph and not value.is_graph_input():
            if value.is_initializer():
                raise ModelError(f"output {value.name!r} is a constant", remedy="take the output away")
            name, value.name = value.name, self._free(f"{value.name}_{word(value.dtype)}")
            result.name = name
        graph.outputs[index] = result

    def _as(self, value: ir.Value, wanted: ir.DataType) -> ir.Value:
        """A value in the wanted type: itself, a copy of a constant, or what a Cast makes of it."""
        if value.is_initializer() and not value.is_graph_input():
            return self._copy(value, wanted)
        if value.dtype == wanted:
            return value
        if (value, wanted) not in self.casts:
            self.casts[value, wanted] = self._cast(value, wanted)
        return self.casts[value, wanted]

    def _copy(self, value: ir.Value, wanted: ir.DataType) -> ir.Value:
        if wanted == self.before[value]:
            return value
        if (value, wanted) not in self.copies:
            name = self._free(f"{value.name}_{word(wanted)}")
            copy = ir.Value(name=name, shape=value.shape, const_value=_converted(value, wanted, name))
            copy.type = _with_dtype(value.type, wanted)
            _scope(value).register_initializer(copy)
            self.copies[value, wanted] = copy
        return self.copies[value, wanted]

    def _cast(self, value: ir.Value, wanted: ir.DataType) -> ir.Value:
        if not isinstance(value.type, ir.TensorType):
            raise ModelError(
                f"{value.name!r} is a sequence of {word(value.dtype)} where {word(wanted)} is wanted",
                remedy="change all nodes that touch the sequence, or none",
            )
        name = self._free(f"{value.name}_{word(wanted)}")
        cast = ir.node("Cast", [value], attributes={"to": wanted.value}, name=f"{name}_cast")
        result = cast.outputs[0]
        result.name, result.shape, result.type = name, value.shape, ir.TensorType(wanted)
        self.inserted.add(cast)
        producer, graph = value.producer(), _scope(value)
        if producer is not None:
            graph.insert_after(producer, cast)
        elif len(graph):
            graph.insert_before(graph[0], cast)
        else:
            graph.append(cast)
        return result

    def _free(self, stem: str) -> str:
        while stem in self.names:
            stem += "_"
        self.names.add(stem)
        return stem


def _scope(value: ir.Value) -> ir.Graph:
    graph = value.graph
    assert isinstance(graph, ir.Graph)
    return graph


def _state_type(node: ir.Node, kind: ir.DataType) -> None:
    """Let a node that states the type of its output state the new one."""
    if node.domain not in DEFAULT_DOMAINS:
        return
    if node.op_type == "ConstantOfShape":
        fill = node.attributes.get("value")
        array = np.zeros(1, np.float32) if fill is None else fill.as_tensor().numpy()
        node.attributes["value"] = ir.AttrTensor("value", ir.tensor(array.astype(kind.numpy()), dtype=kind))
    name, default = _TYPE_ATTRIBUTES.get(node.op_type, ("", 0))
    if name and (name in node.attributes or default):
        node.attributes[name] = ir.AttrInt64(name, kind.value)


def _converted(value: ir.Value, kind: ir.DataType, name: str | None = None) -> ir.TensorProtocol:
    assert value.const_value is not None
    return ir.tensor(
        convert(value.const_value.numpy(), kind, value.name or ""), dtype=kind, name=name or value.name
    )


def convert(array: Array, kind: ir.DataType, name: str) -> Array:
    """A weight in another float type.

    Raises:
        ModelError: A finite number becomes infinite.
    """
    with np.errstate(over="ignore"):
        new: Array = array.astype(kind.numpy())
    if not np.array_equal(np.isfinite(new), np.isfinite(array)):
        raise ModelError(
            f"initializer {name!r} holds numbers that {word(kind)} cannot",
            remedy="scale the weights down, or keep the nodes that read it in their type",
        )
    return new


def _with_dtype(kind: ir.TypeProtocol | None, dtype: ir.DataType) -> ir.TypeProtocol:
    if isinstance(kind, ir.SequenceType):
        return ir.SequenceType(_with_dtype(kind.elem_type, dtype))
    if isinstance(kind, ir.OptionalType):
        return ir.OptionalType(_with_dtype(kind.elem_type, dtype))
    return ir.TensorType(dtype)


def word(kind: ir.DataType | None) -> str:
    """What people call a type."""
    words = {ir.DataType.FLOAT: "float32", ir.DataType.DOUBLE: "float64"}
    return "unknown" if kind is None else words.get(kind, kind.name.lower())
