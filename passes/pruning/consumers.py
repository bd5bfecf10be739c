"""Who reads a neuron: the linear operators that sum over it, seen as matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ..coupling import Contraction, Coupling, Group

Matrix = npt.NDArray[np.float64]

_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE})


@dataclass(frozen=True)
class Consumer:
    """A weight that multiplies an activation along one axis.

    A grouped convolution is one consumer for each of its groups, which read different channels.

    Attributes:
        contraction: The sum over the axis.
        block: Which group of a grouped convolution; 0 otherwise.
    """

    contraction: Contraction
    block: int = 0

    @property
    def key(self) -> tuple[ir.Value, int, ir.Value | None, int]:
        """What tells consumers apart: two nodes that share value and weight are one."""
        c = self.contraction
        return (c.value, c.axis, c.weight, self.block)

    @property
    def place(self) -> tuple[str, int]:
        """The value that it reads, by name, and the axis."""
        return (self.contraction.value.name or "", self.contraction.axis)

    @property
    def weight(self) -> ir.Value:
        """The constant operand."""
        if self.contraction.weight is None:
            raise ValueError("both operands are activations")
        return self.contraction.weight

    def is_observable(self, coupling: Coupling) -> bool:
        """Whether a run can tell what it reads: a value of the main graph, also where a branch or body captures it."""
        return coupling.space.is_observable(self.contraction.value)

    def labels(self, coupling: Coupling) -> npt.NDArray[np.int64]:
        """Class of each input index that this consumer reads, shape ``(inputs,)``."""
        labels = coupling.classes_of(self.contraction.value, self.contraction.axis)
        if labels is None:
            raise ValueError("the axis is dynamic")
        part: npt.NDArray[np.int64] = labels.reshape(self.contraction.blocks, -1)[self.block]
        return part

    def matrix(self) -> Matrix:
        """The weights as ``(inputs, everything else)``."""
        array = self._array()
        if self.contraction.blocks > 1:
            array = np.split(array, self.contraction.blocks, axis=0)[self.block]
        moved = np.moveaxis(array, self.contraction.weight_axis, 0)
        return moved.reshape(len(moved), -1).astype(np.float64)

    def replace(self, matrix: Matrix) -> None:
        """Write the weights back from ``(inputs, everything else)``."""
        array = np.array(self._array())
        whole = array
        if self.contraction.blocks > 1:
            whole = np.split(array, self.contraction.blocks, axis=0)[self.block]
        moved = np.moveaxis(whole, self.contraction.weight_axis, 0)
        moved[...] = matrix.reshape(moved.shape)
        tensor = self.weight.const_value
        dtype = tensor.dtype if tensor is not None else ir.DataType.FLOAT
        self.weight.const_value = ir.tensor(array, dtype=dtype, name=self.weight.name)

    def _array(self) -> npt.NDArray[np.float64]:
        tensor = self.weight.const_value
        if tensor is None:
            raise ValueError(f"{self.weight.name} is not constant")
        return tensor.numpy()


def find_consumers(coupling: Coupling) -> list[Consumer]:
    """Every consumer with a constant floating-point weight that reads at least one free neuron.

    Those inside a body (of an If, a Loop, a Scan) are among them; what they read need not be observable, see
    :meth:`Consumer.is_observable`.
    """
    free = {int(label) for group in coupling.groups for label in group.classes}
    found: dict[tuple[ir.Value, int, ir.Value | None, int], Consumer] = {}
    for contraction in coupling.contractions:
        weight = contraction.weight
        if weight is None or weight.const_value is None or weight.const_value.dtype not in _FLOATS:
            continue
        if len(weight.const_value.shape) < 2:
            continue
        for block in range(contraction.blocks):
            consumer = Consumer(contraction, block)
            if free.intersection(consumer.labels(coupling).tolist()):
                found.setdefault(consumer.key, consumer)
    return list(found.values())


def positions_of(group: Group, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
    """Where a consumer reads each neuron of a group, shape ``(neurons, indices of one)``; None if it does not.

    Args:
        group: The group.
        labels: Class of each input index of the consumer.
    """
    order = np.argsort(labels, kind="stable")
    first = np.searchsorted(labels[order], group.classes, side="left")
    last = np.searchsorted(labels[order], group.classes, side="right")
    counts = last - first
    if not counts.any():
        return None
    return np.stack([order[a : a + counts.max()] for a in first]) if (counts == counts[0]).all() else None
