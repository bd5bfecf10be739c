"""What the table says of an operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from ..dtypes import CARRIERS, WIDER
from ..plan import Kernel, NodePlan

NONE: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Operator:
    """How nodes of an operator are computed.

    Attributes:
        plan: Makes a node's kernel; called once, when the graph is built.
        since: The first version of the operator that this is right for.
        host: Inputs that are read as plain numbers (shapes, axes): they stay in host memory.
        settings: Further inputs that are never trained (bounds, values to fill with).
        weights: Inputs that are weights: a Constant node read there is trained.
        scales: Inputs that are scales of quantized numbers: trained only where that is asked for.
        any_type: Whether it only moves, compares or converts: right also for types that a wider one carries.
    """

    plan: Callable[[NodePlan], Kernel]
    since: int = 1
    host: frozenset[int] = NONE
    settings: frozenset[int] = NONE
    weights: frozenset[int] = NONE
    scales: frozenset[int] = NONE
    any_type: bool = False

    @property
    def held(self) -> frozenset[int]:
        """Inputs that are never trained."""
        return self.host | self.settings

    def check(self, plan: NodePlan) -> None:
        """Refuse types that torch cannot compute in.

        Raises:
            ModelError: A type is unknown to torch, or only carried by a wider one and the operator computes.
        """
        for value in (*plan.node.inputs, *plan.node.outputs):
            dtype = None if value is None else value.dtype
            if dtype in (None, ir.DataType.UNDEFINED):
                continue
            if dtype not in CARRIERS or (dtype in WIDER and not self.any_type):
                plan.refuse(f"torch does not compute in {dtype.name.lower()}")
