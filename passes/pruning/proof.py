"""The proof of a cut: the original with the cut neurons masked gives what the cut model gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import Runner
from ...core.errors import ExpectationError

TOLERANCE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-9, np.dtype(np.float16): 1e-2}
"""Largest difference allowed, as a share of the output's scale: what rounding explains over a deep network."""


@dataclass(frozen=True)
class Proof:
    """The outcome of masked original against cut model.

    Attributes:
        samples: Number of samples compared.
        largest_difference: Over all outputs, as a share of the output's largest magnitude.
        tolerance: What was allowed.
    """

    samples: int
    largest_difference: float
    tolerance: float


def prove_cut(
    reference: ir.Model, cut: ir.Model, data: CalibrationData, runner: Runner, *, samples: int = 16
) -> Proof:
    """Compare the masked original with the cut model on samples, optimisations off.

    Args:
        reference: The masked original.
        cut: The cut model.
        data: The samples.
        runner: Executes both.
        samples: How many samples to compare.

    Raises:
        ExpectationError: They differ by more than rounding explains.
    """
    feeds = list(data.subset(samples).batches(data.batch_size_for(4)))
    names = [v.name or "" for v in cut.graph.outputs if v.dtype is None or v.dtype.is_floating_point()]
    expected, got = (list(runner.run(model, feeds, names)) for model in (reference, cut))
    worst, tolerance = dict.fromkeys(names, 0.0), 1e-5
    for first, second in zip(expected, got, strict=True):
        for name in names:
            tolerance = TOLERANCE.get(first[name].dtype, 1e-2)
            worst[name] = max(worst[name], _relative(first[name], second[name]))
            if not worst[name] <= tolerance:
                raise ExpectationError(
                    f"the proof failed: output {name} differs by {worst[name]:.1e} of its scale",
                    remedy="this is a defect in the coupling of an operator; please report the model",
                )
    compared = sum(len(next(iter(feed.values()))) for feed in feeds)
    return Proof(compared, max(worst.values(), default=0.0), tolerance)


def _relative(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    if first.shape != second.shape or (np.isnan(first) != np.isnan(second)).any():
        return float("inf")
    scale = float(np.nanmax(np.abs(first), initial=0.0))
    return float(np.nanmax(np.abs(first.astype(np.float64) - second), initial=0.0)) / max(scale, 1e-30)
