"""The proof of a cut: the original with the cut neurons masked gives what the cut model gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import Runner
from ...core.errors import ExpectationError
from ...core.tensors import Feed

TOLERANCE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-9, np.dtype(np.float16): 1e-2}
"""Largest difference allowed, as a share of the output's scale: what rounding explains over a deep network."""


_NOISE_FACTOR = 10.0
"""So many times what rounding the inputs does may be explained by rounding within the graph."""

_MOST_NOISE = 1e-3
"""A graph that amplifies rounding beyond this proves nothing."""


@dataclass(frozen=True)
class Proof:
    """The outcome of masked original against cut model.

    Attributes:
        samples: Number of samples compared.
        largest_difference: Over all outputs, as a share of the output's largest magnitude.
        tolerance: What was allowed.
        noise: What rounding the inputs anew does to the outputs, likewise; None where nobody had to ask.
    """

    samples: int
    largest_difference: float
    tolerance: float
    noise: float | None = None


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
        ExpectationError: They differ by more than rounding explains: by more than a tolerance, and by more than ten
            times what rounding the inputs anew does.
    """
    feeds = list(data.subset(samples).batches(data.batch_size_for(4)))
    names = [v.name or "" for v in cut.graph.outputs if v.dtype is None or v.dtype.is_floating_point()]
    expected, got = (list(runner.run(model, feeds, names)) for model in (reference, cut))
    compared = sum(len(next(iter(feed.values()))) for feed in feeds)
    worst = {
        name: max(_relative(a[name], b[name]) for a, b in zip(expected, got, strict=True)) for name in names
    }
    tolerance = {name: TOLERANCE.get(expected[0][name].dtype, 1e-2) for name in names}
    largest = max(worst.values(), default=0.0)
    allowed = min(tolerance.values(), default=1e-5)
    if all(worst[name] <= tolerance[name] for name in names):
        return Proof(compared, largest, allowed)
    # A graph that amplifies rounding (a long recurrence) differs from itself by as much: that is no fault of the cut.
    shaken = list(runner.run(reference, [_rounded_anew(feed) for feed in feeds], names))
    noise = {
        name: max(_relative(a[name], b[name]) for a, b in zip(expected, shaken, strict=True))
        for name in names
    }
    for name in names:
        allowed = max(tolerance[name], min(_NOISE_FACTOR * noise[name], _MOST_NOISE))
        if not worst[name] <= allowed:
            raise ExpectationError(
                f"the proof failed: output {name} differs by {worst[name]:.1e} of its scale, {allowed:.1e} is allowed",
                remedy="this is a defect in the coupling of an operator; please report the model",
            )
    return Proof(compared, largest, allowed, max(noise.values()))


def _rounded_anew(feed: Feed) -> Feed:
    """Inputs moved by a unit in the last place or two, as another order of sums would have it."""
    random = np.random.default_rng(0)
    return {
        name: (array * (1 + np.finfo(array.dtype).eps * random.standard_normal(array.shape))).astype(
            array.dtype
        )
        if array.dtype.kind == "f"
        else array
        for name, array in feed.items()
    }


def _relative(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    if first.shape != second.shape or (np.isnan(first) != np.isnan(second)).any():
        return float("inf")
    scale = float(np.nanmax(np.abs(first), initial=0.0))
    return float(np.nanmax(np.abs(first.astype(np.float64) - second), initial=0.0)) / max(scale, 1e-30)
