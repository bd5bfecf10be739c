"""What cutting a group does to the model's outputs: measured, not inferred from one layer.

A layer's reconstruction says little about what its error means further on. So an eighth of each group is cut on trial,
repaired, and the outputs are compared with the original's on samples that the repair has not seen. Outputs are read
before a final Softmax or Sigmoid, which hides errors where it saturates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import Runner
from ...core.tensors import Array
from ..constants import all_initializers
from ..coupling import Coupling, Group, Kept
from .consumers import Consumer
from .criteria import Curve
from .masking import masked
from .repair import repair_consumers
from .statistics import InputStatistics

TRIAL_SHARE = 1 / 8
"""Share of a group that is cut on trial."""

_SATURATING = frozenset({"Softmax", "LogSoftmax", "Sigmoid", "HardSigmoid", "Tanh", "Identity"})
_SMALLEST = 1e-12


class OutputProbe:
    """Compares a graph's outputs with those of the original.

    Args:
        original: The graph before any cut.
        data: Samples held out from the repair.
        runner: Executes graphs.
    """

    def __init__(self, original: ir.Model, data: CalibrationData, runner: Runner) -> None:
        self.names = logit_names(original)
        self.feeds = list(data.batches(data.batch_size_for(32)))
        self.runner = runner
        self.reference = self._outputs(original)

    def error(self, model: ir.Model) -> float:
        """Squared difference from the original, as a share of the outputs' variance, the mean over outputs."""
        outputs = self._outputs(model)
        shares = [
            float(
                ((outputs[name] - wanted) ** 2).sum()
                / max(float(((wanted - wanted.mean(0)) ** 2).sum()), _SMALLEST)
            )
            for name, wanted in self.reference.items()
        ]
        return float(np.mean(shares))

    def _outputs(self, model: ir.Model) -> dict[str, npt.NDArray[np.float64]]:
        runs = list(self.runner.run(model, self.feeds, self.names))
        return {name: _rows([run[name] for run in runs]) for name in self.names}


def logit_names(model: ir.Model) -> list[str]:
    """The values behind the floating-point outputs, before a last Softmax, Sigmoid or the like."""
    names = []
    for output in model.graph.outputs:
        value = output
        while (
            (maker := value.producer()) is not None
            and maker.op_type in _SATURATING
            and maker.inputs[0] is not None
        ):
            value = maker.inputs[0]
        if output.dtype is None or output.dtype.is_floating_point():
            names.append(value.name or "")
    return list(dict.fromkeys(names))


def sensitivities(
    model: ir.Model,
    coupling: Coupling,
    trials: Sequence[tuple[Group, Curve, int]],
    statistics: Mapping[Consumer, InputStatistics],
    probe: OutputProbe,
) -> list[float]:
    """How much the output error grows when each group alone loses some neurons.

    Args:
        model: The graph as it is now; left as it is.
        coupling: Its analysis.
        trials: For each group its order, and how many neurons go on trial.
        statistics: What each consumer reads, for the repair.
        probe: Compares the outputs.

    Returns:
        The growth for each trial, above zero.
    """
    base = probe.error(model)
    grown = []
    for group, curve, depth in trials:
        kept = Kept(coupling, group.classes[curve.order[:depth]])
        grown.append(max(error_after(model, coupling, kept, statistics, probe) - base, _SMALLEST))
    return grown


def error_after(
    model: ir.Model,
    coupling: Coupling,
    kept: Kept,
    statistics: Mapping[Consumer, InputStatistics],
    probe: OutputProbe,
    *,
    compensate: bool = True,
) -> float:
    """The output error that a cut would have.

    Args:
        model: The graph as it is now; left as it is.
        coupling: Its analysis.
        kept: What would stay.
        statistics: What each consumer reads, for the repair.
        probe: Compares the outputs.
        compensate: Whether the cut would be repaired.
    """
    with _weights_restored(model):
        if compensate:
            repair_consumers(model, coupling, kept, statistics)
        return probe.error(masked(model, coupling, kept))


@contextmanager
def _weights_restored(model: ir.Model) -> Iterator[None]:
    saved = [(value, value.const_value) for value in all_initializers(model.graph)]
    try:
        yield
    finally:
        for value, tensor in saved:
            value.const_value = tensor


def _rows(arrays: list[Array]) -> npt.NDArray[np.float64]:
    """All samples' outputs, shape ``(samples, elements)``; outputs without a batch count as one sample each."""
    rows = [np.asarray(a, np.float64).reshape(len(a) if a.ndim else 1, -1) for a in arrays]
    return np.concatenate(rows)
