"""What a rule says of one node: which ids belong together, which may not be cut, what is contracted."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...core.reports import Skip
from ...core.shapes import Dims
from .space import Ids, IndexSpace


class FreezeError(Exception):
    """A rule cannot follow this node: everything it touches is frozen. Caught by the analysis, never seen outside.

    Args:
        code: A short, stable word.
        text: The reason for people.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True)
class Contraction:
    """A node that sums over an axis: what is cut there simply stops being added.

    Attributes:
        node: The node.
        value: The activation whose axis is summed over.
        axis: That axis, counted from the front.
        weight: The constant operand, or None where both operands are activations (or there is one only).
        weight_axis: Its contracted axis, counted from the front.
        blocks: In how many groups the axis is split (grouped convolution); the weight's axis covers one group.
        is_mean: Whether the node takes means over the axis, which change with every cut.
    """

    node: ir.Node
    value: ir.Value
    axis: int
    weight: ir.Value | None = None
    weight_axis: int = 0
    blocks: int = 1
    is_mean: bool = False


@dataclass(frozen=True)
class Pin:
    """Ids that may not be cut, with the reason."""

    ids: Ids
    reason: Skip


@dataclass
class Emission:
    """What the rule of one node emitted."""

    ties: list[tuple[Ids, Ids]] = field(default_factory=list)
    pins: list[Pin] = field(default_factory=list)
    contractions: list[Contraction] = field(default_factory=list)


class Emitter:
    """What a rule writes to; it reads dimensions and constants from the same place.

    Args:
        node: The node in hand.
        space: The ids of the graph.
    """

    def __init__(self, node: ir.Node, space: IndexSpace) -> None:
        self.node = node
        self.space = space
        self.out = Emission()

    @property
    def opset(self) -> int:
        """The version of the node's operator set."""
        version = self.space.graph.opset_imports.get(self.node.domain)
        return version if version is not None else 1

    def dims(self, value: ir.Value) -> Dims:
        """The dimensions of a value.

        Raises:
            FreezeError: The rank is unknown.
        """
        dims = self.space.dims(value)
        if dims is None:
            raise FreezeError("unknown-shape", f"the shape of {value.name} is unknown")
        return dims

    def input(self, index: int) -> ir.Value | None:
        """An input of the node, or None where it is left out."""
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def need(self, index: int) -> ir.Value:
        """An input that the operator requires."""
        value = self.input(index)
        if value is None:
            raise FreezeError("malformed", f"input {index} is missing")
        return value

    def constant(self, index: int) -> npt.NDArray[np.int64] | None:
        """The content of a constant integer input, or None where it is left out.

        Raises:
            FreezeError: It is computed at run time.
        """
        value = self.input(index)
        if value is None:
            return None
        tensor = ir.convenience.get_const_tensor(value)
        if tensor is None:
            raise FreezeError("dynamic", f"{value.name} is computed at run time")
        return np.asarray(tensor.numpy(), dtype=np.int64)

    def ids(self, value: ir.Value, axis: int) -> Ids | None:
        """Ids along an axis (negative axes count from the back); None where it is dynamic."""
        rank = len(self.dims(value))
        return self.space.ids(value, axis % rank) if rank else None

    def tie(self, first: Ids | None, second: Ids | None) -> None:
        """Pairs of ids that must be cut together; an axis without ids on one side pins the other.

        Raises:
            FreezeError: The two differ in length.
        """
        if first is None and second is None:
            return
        if first is None or second is None:
            self.pin(first if second is None else second, None, "dynamic", "the other side's size is dynamic")
            return
        if len(first) != len(second):
            raise FreezeError("shape-mismatch", f"{len(first)} indices meet {len(second)}")
        self.out.ties.append((first, second))

    def tie_axes(self, first: ir.Value, first_axis: int, second: ir.Value, second_axis: int) -> None:
        """Tie two axes index by index; see :meth:`tie`."""
        self.tie(self.ids(first, first_axis), self.ids(second, second_axis))

    def pin(self, ids: Ids | None, axis: int | None, code: str, text: str) -> None:
        """Forbid ids to be cut, and say why."""
        if ids is not None and len(ids):
            reason = Skip(self.node.name or self.node.op_type, axis, code, f"{self.node.op_type}: {text}")
            self.out.pins.append(Pin(ids, reason))

    def pin_axis(self, value: ir.Value, axis: int, code: str, text: str) -> None:
        """Forbid an axis to be cut, and say why."""
        self.pin(self.ids(value, axis), axis, code, text)

    def contract(self, contraction: Contraction) -> None:
        """Record a sum over an axis."""
        self.out.contractions.append(contraction)

    def average(self, value: ir.Value, axis: int, text: str) -> None:
        """Record a mean over an axis: frozen with this text, unless approximate cuts are allowed."""
        if self.space.is_approximate:
            self.contract(Contraction(self.node, value, axis, is_mean=True))
        else:
            self.pin_axis(value, axis, "approximate", text)
