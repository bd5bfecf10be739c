"""The contract of a pass: options in ``__init__``, a graph changed in place, a report after the call.

After every pass the graph is valid: strict shape inference that raises, and the onnx checker.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import onnx_ir as ir

from ..core.detach import detached_proto
from ..core.errors import ModelError
from ..core.inference import SMALL_ELEMENTS, run_checker, without_weights
from ..core.metrics import measure_graph
from ..core.reports import PassReport
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
    try:
        run_checker(without_weights(detached_proto(model, SMALL_ELEMENTS)[0]))
    except ModelError as error:
        raise ModelError(error.cause, remedy="this is a defect of the pass; please report it") from error
