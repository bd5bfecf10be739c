"""The contract of a pass: options in ``__init__``, a graph changed in place, a report after the call.

After every pass the graph is valid: strict shape inference that raises, and the onnx checker.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import onnx
import onnx_ir as ir

from ..core.errors import ModelError
from ..core.metrics import measure_graph
from ..core.reports import PassReport
from ..core.serialize import PROTOBUF_LIMIT_BYTES
from ..core.shapes import infer_shapes


class GraphPass(ir.passes.InPlacePass):
    """A pass over a graph in memory that reports what it did and what it left alone.

    A subclass names itself, takes typed options in ``__init__`` and implements :meth:`rewrite`. It opens no
    file and imports no runtime: what has to be run it asks of a :class:`~sardonyx.calib_data.Runner`.

    Attributes:
        name: The pass's name in reports.
        report: What the last call did.
    """

    name: ClassVar[str]

    def __init__(self, input_shapes: Mapping[str, Sequence[int]] | None = None) -> None:
        super().__init__()
        self.input_shapes = input_shapes
        self.report = PassReport(self.name)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the graph, prove it valid, and fill :attr:`report`."""
        self.report = PassReport(self.name, before=measure_graph(model, self.input_shapes))
        modified = self.rewrite(model)
        if modified:
            validate(model)
        self.report.after = measure_graph(model, self.input_shapes)
        return ir.passes.PassResult(model, modified=modified)

    @abstractmethod
    def rewrite(self, model: ir.Model) -> bool:
        """Change the graph in place; return whether anything changed."""


def validate(model: ir.Model) -> None:
    """Prove that a graph is valid.

    Raises:
        ModelError: Strict shape inference or the onnx checker refuses it.
    """
    infer_shapes(model)
    weights = sum(
        v.const_value.nbytes for v in model.graph.initializers.values() if v.const_value is not None
    )
    if weights > PROTOBUF_LIMIT_BYTES:
        return  # the checker takes one protobuf message; the door checks the file that is saved
    try:
        onnx.checker.check_model(ir.to_proto(model))
    except onnx.checker.ValidationError as error:
        raise ModelError(
            f"the onnx checker refuses the graph: {error}",
            remedy="this is a defect of the pass; please report it",
        ) from error
