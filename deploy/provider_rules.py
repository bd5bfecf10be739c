"""The form of a provider's table: operator to rule, a rule to conditions, each of which says in words why it is not met."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy.typing as npt
import onnx_ir as ir

from ..core.shapes import Dims
from .node_facts import Parameters, constant_array, label, operator_version, parameters_of
from .qdq_units import Unit


@dataclass(frozen=True)
class UnitView:
    """A unit as a condition sees it.

    Attributes:
        unit: The unit; a provider that knows no groups sees single nodes only.
        opsets: The versions of the operator sets.
        fixed: Initializers that no caller can replace.
    """

    unit: Unit
    opsets: Mapping[str, int]
    fixed: frozenset[ir.Value]

    @property
    def node(self) -> ir.Node:
        """The operator."""
        return self.unit.target

    @property
    def key(self) -> str:
        """The operator as tables name it, ``ai.onnx:Conv``."""
        return f"{self.node.domain or 'ai.onnx'}:{self.node.op_type}"

    @property
    def version(self) -> int:
        """The opset in which the operator was last changed."""
        return operator_version(self.node, self.opsets)

    @property
    def inputs(self) -> tuple[int, ...]:
        """The inputs that are there."""
        return tuple(index for index, value in enumerate(self.node.inputs) if value is not None)

    def value(self, index: int) -> ir.Value | None:
        """What an input reads; in a group, the quantized value."""
        return self.unit.source(index)

    def name(self, index: int) -> str:
        """The name of what an input reads."""
        value = self.value(index)
        return (None if value is None else value.name) or f"number {index}"

    def dims(self, index: int) -> Dims | None:
        """The shape of an input; None where its rank is unknown."""
        value = self.value(index)
        if value is None or value.shape is None:
            return None
        return tuple(d if isinstance(d, int) else d.value for d in value.shape)

    def output_dims(self) -> Dims | None:
        """The shape of the first output."""
        shape = self.node.outputs[0].shape
        return None if shape is None else tuple(d if isinstance(d, int) else d.value for d in shape)

    def dtype(self, index: int) -> ir.DataType | None:
        """The type of an input; in a group, the quantized one."""
        value = self.value(index)
        return None if value is None else value.dtype

    def array(self, index: int) -> npt.NDArray[Any] | None:
        """The contents of a constant input."""
        value = self.value(index)
        return constant_array(value) if value in self.fixed else None

    def is_constant(self, index: int) -> bool:
        """Whether an input is there and constant."""
        return self.value(index) in self.fixed

    def parameters(self, index: int) -> Parameters | None:
        """Scale and zero-point of a group's input; None where it is not quantized, or they are not constant."""
        dequantizer = self.unit.dequantizer(index)
        return None if dequantizer is None else parameters_of(dequantizer)

    def integer(self, name: str, default: int) -> int:
        """An attribute, an integer."""
        return self.node.attributes.get_int(name, default)

    def integers(self, name: str) -> tuple[int, ...]:
        """An attribute, a list of integers; empty where it is not given."""
        return tuple(self.node.attributes.get_ints(name, ()))

    def text(self, name: str, default: str) -> str:
        """An attribute, a string."""
        return self.node.attributes.get_string(name, default)

    def number(self, name: str, default: float) -> float:
        """An attribute, a float."""
        return self.node.attributes.get_float(name, default)

    def __str__(self) -> str:
        return label(self.node)


Condition: TypeAlias = Callable[[UnitView], str]
"""Says why a unit is not taken, in plain words without the node's name; nothing where the condition is met."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When a provider takes an operator.

    Attributes:
        source: The file or page of ONNX Runtime that it is from; below the provider's folder where there is no slash.
        conditions: What holds for the operator alone and in a group.
        single: What else holds for it alone; None where the provider's own default holds.
        group: What else holds for a group of Q/DQ nodes around it; None where it takes no group.
        joins: Operators into whose kernel it is taken, where it follows one; it has no kernel of its own then.
        note: What ONNX Runtime's own list says of the operator, as far as the conditions cover it.
    """

    source: str
    conditions: tuple[Condition, ...] = ()
    single: tuple[Condition, ...] | None = None
    group: tuple[Condition, ...] | None = None
    joins: frozenset[str] = frozenset()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Provider:
    """What an execution provider takes.

    Attributes:
        name: What reports call it.
        rules: By operator, ``ai.onnx:Conv``.
        common: What holds for every unit.
        single: What holds for a single node whose rule does not say otherwise.
        list_name: The file of ONNX Runtime that lists the operators; empty where the rules are the list.
        knows_groups: Whether it looks for groups of Q/DQ nodes at all.
        copies: Whether each partition costs copies to a device and back.
        stops: Operators at and behind which it takes nothing.
        refuses: Why a partition is not worth it, given its operators; nothing where it is.
        absent: More on operators without a rule, by operator.
        remarks: What holds whatever the model.
    """

    name: str
    rules: Mapping[str, Rule]
    common: tuple[Condition, ...]
    single: tuple[Condition, ...]
    list_name: str = ""
    knows_groups: bool = True
    copies: bool = True
    stops: frozenset[str] = frozenset()
    refuses: Callable[[Sequence[str]], str] = lambda operators: ""
    absent: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def standard(rules: Mapping[str, Rule]) -> dict[str, Rule]:
    """Rules of standard operators by the names of tables; those with a domain keep it."""
    return {name if ":" in name else f"ai.onnx:{name}": rule for name, rule in rules.items()}


def each(names: str, rule: Rule) -> dict[str, Rule]:
    """One rule for several operators, their names divided by spaces."""
    return dict.fromkeys(names.split(), rule)
