"""Repair in closed form: what is cut is regressed on what stays, and the coefficients folded into the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ..coupling import Coupling, Kept
from .consumers import Consumer
from .shrinkage import predict
from .statistics import InputStatistics, merged

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RepairGain:
    """What the repair of one consumer gave.

    Attributes:
        node: The consumer.
        error_before: Share of its output energy that the cut alone would lose.
        error_after: Share lost after the repair.
    """

    node: str
    error_before: float
    error_after: float


def repair_consumers(
    model: ir.Model, coupling: Coupling, kept: Kept, statistics: Mapping[Consumer, InputStatistics]
) -> list[RepairGain]:
    """Fold what each consumer loses into the weights of what it keeps.

    Args:
        model: The graph before the cut, at full width; its weights and biases are changed in place.
        coupling: Its analysis.
        kept: What stays.
        statistics: What each consumer reads.

    Returns:
        The gain for each consumer that lost inputs.
    """
    gains = []
    for readers in _by_weight(statistics):
        masks = [_mask_of(consumer, kept) for consumer in readers]
        mask = masks[0]
        if mask is None or mask.all() or not mask.any():
            continue
        if any(other is None or not np.array_equal(other, mask) for other in masks):
            continue  # nodes that share a weight and lose different inputs cannot both be served by it
        seen = merged([statistics[consumer] for consumer in readers])
        if seen.count:
            gains.append(_repair(model, readers[0], mask, seen))
    return gains


def _by_weight(statistics: Mapping[Consumer, InputStatistics]) -> list[list[Consumer]]:
    """Consumers that read through the same weights, together: what is folded in serves all of them."""
    found: dict[tuple[ir.Value, int], list[Consumer]] = {}
    for consumer in statistics:
        found.setdefault((consumer.weight, consumer.block), []).append(consumer)
    return list(found.values())


def _mask_of(consumer: Consumer, kept: Kept) -> npt.NDArray[np.bool_] | None:
    mask = kept.mask(consumer.contraction.value, consumer.contraction.axis)
    if mask is None:
        return None
    part: npt.NDArray[np.bool_] = mask.reshape(consumer.contraction.blocks, -1)[consumer.block]
    return part


def _repair(
    model: ir.Model, consumer: Consumer, keep: npt.NDArray[np.bool_], seen: InputStatistics
) -> RepairGain:
    matrix = consumer.matrix()
    centred = has_intercept(consumer)
    moments = seen.covariance if centred else seen.second
    lost = matrix[~keep]
    share = predict(moments, keep, seen.ridge)
    repaired = matrix.copy()
    repaired[keep] += share @ lost
    consumer.replace(repaired)
    if centred:
        _add_to_bias(model, consumer, lost.T @ (seen.mean[~keep] - share.T @ seen.mean[keep]))
    energy = max(float(np.sum(seen.second * (matrix @ matrix.T))), 1e-30)
    across = moments[np.ix_(~keep, keep)] @ share
    left = moments[np.ix_(~keep, ~keep)] - across - across.T + share.T @ moments[np.ix_(keep, keep)] @ share
    plain = float(np.sum(seen.second[np.ix_(~keep, ~keep)] * (lost @ lost.T)))
    return RepairGain(
        consumer.contraction.node.name or "",
        plain / energy,
        max(float(np.sum(left * (lost @ lost.T))), 0.0) / energy,
    )


def has_intercept(consumer: Consumer) -> bool:
    """Whether the mean of what is cut can go into a bias exactly.

    A convolution that pads sees zeros beyond the border, where the mean is not the mean; there the regression has
    no intercept.
    """
    node = consumer.contraction.node
    if node.op_type == "Gemm":
        plain = node.attributes.get_float("alpha", 1.0) == node.attributes.get_float("beta", 1.0) == 1.0
        return plain and _bias_of(consumer) is not None
    if node.op_type != "Conv" or consumer.contraction.blocks > 1:
        return False
    pads = node.attributes.get("pads")
    automatic = node.attributes.get_string("auto_pad", "NOTSET")
    padded = (pads is not None and any(pads.as_ints())) or automatic in {"SAME_UPPER", "SAME_LOWER"}
    return not padded and _bias_of(consumer) is not None


def _bias_of(consumer: Consumer) -> ir.Value | None:
    """The bias, where it is a constant of this node alone."""
    node = consumer.contraction.node
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is None or bias.const_value is None or len(bias.uses()) != 1 or len(consumer.weight.uses()) != 1:
        return None
    return bias if len(bias.const_value.shape) == 1 else None


def _add_to_bias(model: ir.Model, consumer: Consumer, shift: npt.NDArray[np.float64]) -> None:
    """Add to the bias what the intercept of each output is, summed over the kernel's taps."""
    bias = _bias_of(consumer)
    if bias is None or bias.const_value is None:
        raise ValueError(f"{consumer.contraction.node.name} has no bias to repair")
    array = np.asarray(bias.const_value.numpy(), dtype=np.float64)
    # (outputs x taps) -> outputs: every tap of a kernel sees the same mean.
    fresh = array + shift.reshape(len(array), -1).sum(1)
    dtype = bias.const_value.dtype
    bias.const_value = ir.tensor(fresh.astype(dtype.numpy()), dtype=dtype, name=bias.name)
