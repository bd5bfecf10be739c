"""The proof of a cut: the original with the cut neurons masked gives what the cut model gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import Runner
from ...core.errors import ExpectationError
from ..coupling import Coupling, Kept

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


def masked(model: ir.Model, coupling: Coupling, kept: Kept) -> ir.Model:
    """A copy of a graph in which every sum leaves the cut neurons out, through a mask of zeros and ones.

    Args:
        model: The graph before the cut.
        coupling: Its analysis.
        kept: What stays.
    """
    copy = model.clone()
    nodes = {node.name: node for node in copy.graph}
    values = {v.name: v for node in copy.graph for v in node.outputs} | {v.name: v for v in copy.graph.inputs}
    for index, contraction in enumerate(coupling.contractions):
        mask = kept.mask(contraction.value, contraction.axis)
        if mask is None:
            continue
        if contraction.value in contraction.node.outputs:
            continue  # a recurrent layer reads its own states, through a weight that has a mask of its own
        node, source = nodes[contraction.node.name], values.get(contraction.value.name)
        if source is None:  # a constant is summed over: the mask goes on it alike
            source = copy.graph.initializers[contraction.value.name or ""]
        rank = len(coupling.space.dims(contraction.value) or ())
        shape = [1] * rank
        shape[contraction.axis] = len(mask)
        dtype = source.dtype or ir.DataType.FLOAT
        constant = ir.Value(
            name=f"sardonyx.mask.{index}",
            const_value=ir.tensor(
                mask.astype(dtype.numpy()).reshape(shape), dtype=dtype, name=f"sardonyx.mask.{index}"
            ),
        )
        constant.shape, constant.dtype = ir.Shape(shape), dtype
        copy.graph.register_initializer(constant)
        product = ir.node("Mul", [source, constant], name=f"sardonyx.masked.{index}")
        product.outputs[0].name = f"sardonyx.masked.{index}"
        copy.graph.insert_before(node, product)
        for position, value in enumerate(node.inputs):
            if value is source:
                node.replace_input_with(position, product.outputs[0])
    return copy


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
