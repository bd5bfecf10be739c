"""What is known of a node before anything runs: attributes, constants, types; and what its kernel is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import onnx_ir as ir
import torch

from ...core.errors import ModelError
from ...core.tensors import Array

if TYPE_CHECKING:
    from .program import Program

Kernel: TypeAlias = Callable[..., Any]
"""Computes a node: from its inputs in order (None where one is left out) to its output, or a tuple of them."""

Ints: TypeAlias = tuple[int, ...]

REMEDY = "export the model with other operators, or convert it to a newer opset"
"""What to do about a node that cannot be computed."""


@dataclass(frozen=True)
class Mode:
    """What differs between training and use.

    Attributes:
        statistics: Whether BatchNormalization uses the batch's statistics and moves the running ones.
        dropout: Whether Dropout drops.
        device: Where tensors of several devices meet; None where all are in host memory.
    """

    statistics: bool = False
    dropout: bool = False
    device: torch.device | None = None


@dataclass
class NodePlan:
    """A node, as the function that plans it sees it.

    Attributes:
        node: The node.
        opset: The version of its domain's operators.
        constants: Every value that is the same at each call and is never trained.
        compile: Turns a body of the node into a program.
        bodies: The programs that were compiled, in order.
        asks_mode: Whether the kernel wants the :class:`Mode` as one more input, the last.
    """

    node: ir.Node
    opset: int
    constants: Mapping[ir.Value, ir.TensorProtocol]
    compile: Callable[[ir.Graph], Program]
    bodies: list[Program] = field(default_factory=list)
    asks_mode: bool = False

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        attribute = self.node.attributes.get(name)
        return default if attribute is None else attribute.as_int()

    def number(self, name: str, default: float) -> float:
        """A number attribute."""
        attribute = self.node.attributes.get(name)
        return default if attribute is None else attribute.as_float()

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        attribute = self.node.attributes.get(name)
        return default if attribute is None else attribute.as_string()

    def ints(self, name: str) -> Ints | None:
        """An attribute of integers; None where it is not there."""
        attribute = self.node.attributes.get(name)
        return None if attribute is None else tuple(attribute.as_ints())

    def floats(self, name: str) -> tuple[float, ...] | None:
        """An attribute of numbers; None where it is not there."""
        attribute = self.node.attributes.get(name)
        return None if attribute is None else tuple(attribute.as_floats())

    def texts(self, name: str) -> tuple[str, ...] | None:
        """An attribute of strings; None where it is not there."""
        attribute = self.node.attributes.get(name)
        return None if attribute is None else tuple(attribute.as_strings())

    def tensor(self, name: str) -> ir.TensorProtocol | None:
        """A tensor attribute; None where it is not there."""
        attribute = self.node.attributes.get(name)
        return None if attribute is None else attribute.as_tensor()

    def body(self, name: str) -> Program:
        """Compile a subgraph of the node. Its outer values become inputs of the node, after its own."""
        program = self.compile(self.node.attributes[name].as_graph())
        self.bodies.append(program)
        return program

    def has(self, index: int) -> bool:
        """Whether an input is given."""
        return index < len(self.node.inputs) and self.node.inputs[index] is not None

    def wants(self, index: int) -> bool:
        """Whether an output is named."""
        return index < len(self.node.outputs) and bool(self.node.outputs[index].name)

    def constant(self, index: int) -> Array | None:
        """The contents of an input that is the same at each call; None where it is not."""
        value = self.node.inputs[index] if self.has(index) else None
        tensor = None if value is None else self.constants.get(value)
        return None if tensor is None else tensor.numpy()

    def dtype(self, index: int) -> ir.DataType | None:
        """The type of an input, as far as the graph states it."""
        value = self.node.inputs[index] if self.has(index) else None
        return None if value is None else value.dtype

    def sizes(self, index: int) -> Ints | None:
        """The shape of an input; None where the graph does not state all of it."""
        value = self.node.inputs[index] if self.has(index) else None
        if value is None or value.shape is None:
            return None
        sizes = tuple(d for d in value.shape if isinstance(d, int))
        return sizes if len(sizes) == len(value.shape) else None

    def read_ints(self, index: int) -> Callable[[torch.Tensor | None], Ints | None]:
        """How to read an input as integers: at once where it is constant, at each call where it is not."""
        fixed = self.constant(index)
        if fixed is not None:
            numbers: Ints = tuple(int(n) for n in fixed.reshape(-1))
            return lambda _: numbers
        return _ints

    def read_number(self, index: int) -> Callable[[torch.Tensor | None], Any]:
        """How to read an input as one number, as :meth:`read_ints` does."""
        fixed = self.constant(index)
        if fixed is not None:
            number = fixed.reshape(-1)[0].item() if fixed.dtype.kind != "V" else float(fixed.reshape(-1)[0])
            return lambda _: number
        return _number

    def refuse(self, reason: str) -> NoReturn:
        """Refuse the node.

        Raises:
            ModelError: Always.
        """
        refuse_node(self.node, reason)


def refuse_node(node: ir.Node, reason: str) -> NoReturn:
    """Refuse a node by name.

    Raises:
        ModelError: Always.
    """
    raise ModelError(f"{name_of(node)} cannot be trained: {reason}", remedy=REMEDY)


def name_of(node: ir.Node) -> str:
    """What to call a node in a message: its name, its operator, and where it has no name, its output."""
    domain = f"{node.domain}." if node.domain else ""
    called = node.name or next((v.name for v in node.outputs if v.name), "")
    return f"node {called!r} ({domain}{node.op_type})"


def _ints(tensor: torch.Tensor | None) -> Ints | None:
    return None if tensor is None else tuple(int(n) for n in tensor.reshape(-1).tolist())


def _number(tensor: torch.Tensor | None) -> Any:
    return None if tensor is None or tensor.numel() == 0 else tensor.reshape(-1)[0].item()
