"""Smoothing: outliers of a normalization's channels move into the weights that read them.

Channel ``j`` of what a normalization hands on is divided by

    s_j = max|X_j|^a / max|W_j|^(1 - a)

through the normalization's own scale and bias, and the weights that read it are multiplied by ``s_j`` (Xiao et al.,
"SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models", 2023, eq. 4). The model
computes the same; activations lose the few channels that would take the whole range of their tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ...core.errors import DataError, UsageError
from ...core.reports import Skip
from .linear_nodes import in_blocks, is_linear, own_constant, rewrite

Vector = npt.NDArray[np.float64]

_LARGEST_FACTOR = 1e6
_NORMS = frozenset({"LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"})
"""Normalizations along the last axis, with a scale as second input and perhaps a bias as third."""


@dataclass(frozen=True)
class SmoothedValue:
    """A value whose channels were evened out.

    Attributes:
        node: The normalization, or the last of the nodes that it consists of.
        value: What it hands on.
        readers: The matrix products that took the factors.
        spread_before: The largest channel over the mean of all, in absolute maxima.
        spread_after: The same afterwards.
    """

    node: str
    value: str
    readers: tuple[str, ...]
    spread_before: float
    spread_after: float


@dataclass(frozen=True)
class SmoothingReport:
    """What smoothing did.

    Attributes:
        values: What was evened out, in graph order.
        skipped: Normalizations that stay as they are, with reasons.
    """

    values: tuple[SmoothedValue, ...]
    skipped: tuple[Skip, ...]


@dataclass(frozen=True)
class _Site:
    """A value that takes factors: the constants that make its channels, and who reads them."""

    node: ir.Node
    value: ir.Value
    constants: tuple[ir.Value, ...]
    readers: tuple[ir.Node, ...]


def normalized_values(model: ir.Model) -> list[str]:
    """Names of the values whose largest magnitudes along the last axis :func:`smooth` asks for."""
    return [site.value.name or "" for site in _sites(model) if isinstance(site, _Site)]


def smooth(
    model: ir.Model, channel_amax: Mapping[str, npt.ArrayLike], strength: float = 0.5
) -> SmoothingReport:
    """Move outliers of activations into weights; the model computes the same, up to float rounding.

    Args:
        model: A clean float32 graph; scales, biases and weights of the main graph are changed in place.
        channel_amax: For each of :func:`normalized_values`, the largest magnitude of each channel over the
            samples, shape ``(channels,)``. Values without are left alone, with that as reason.
        strength: How much of the range moves: 0 none of the activations', 1 all of it.

    Returns:
        What was evened out, and why other normalizations were not.

    Raises:
        UsageError: The strength is not within 0 and 1.
        DataError: A vector has another length than its value has channels, or is not finite.
    """
    if not 0.0 <= strength <= 1.0:
        raise UsageError(f"a smoothing strength of {strength}", remedy="choose one in [0, 1], such as 0.5")
    values, skipped = [], []
    for site in _sites(model):
        if isinstance(site, Skip):
            skipped.append(site)
        elif site.value.name not in channel_amax:
            skipped.append(
                Skip(site.node.name or "", None, "no-range", f"no range of {site.value.name!r} was collected")
            )
        else:
            values.append(_smooth(site, _checked(site, channel_amax[site.value.name or ""]), strength))
    return SmoothingReport(tuple(values), tuple(skipped))


def _checked(site: _Site, given: npt.ArrayLike) -> Vector:
    amax, channels = np.asarray(given, np.float64), _content(site.constants[0]).size
    name = site.value.name
    if amax.shape != (channels,) or not np.isfinite(amax).all():
        raise DataError(
            f"the ranges of {name!r} have shape {amax.shape}, {channels} finite numbers are expected",
            remedy="collect the largest magnitude of each channel along the last axis",
        )
    return np.abs(amax)


def _smooth(site: _Site, amax: Vector, strength: float) -> SmoothedValue:
    read = np.max([_read(node) for node in site.readers], axis=0)
    used = (amax > 0.0) & (read > 0.0)
    factors = np.ones(len(amax))
    factors[used] = amax[used] ** strength / read[used] ** (1.0 - strength)
    factors = np.clip(factors, 1.0 / _LARGEST_FACTOR, _LARGEST_FACTOR)
    for value in site.constants:
        array = _content(value)
        rewrite(value, array / factors.reshape(array.shape))
    for node in site.readers:
        _multiply_inputs(node, factors)
    return SmoothedValue(
        site.node.name or "",
        site.value.name or "",
        tuple(node.name or "" for node in site.readers),
        _spread(amax),
        _spread(amax / factors),
    )


def _spread(amax: Vector) -> float:
    mean = float(amax.mean())
    return float(amax.max()) / mean if mean > 0.0 else 1.0


def _read(node: ir.Node) -> Vector:
    """The largest weight that reads each channel."""
    blocks = np.abs(in_blocks(node, _content(node.inputs[1])))
    return np.asarray(blocks.max(axis=(0, 1, 3), initial=0.0), np.float64)


def _multiply_inputs(node: ir.Node, factors: Vector) -> None:
    value = node.inputs[1]
    scaled = _content(value).copy(order="C")
    blocks = in_blocks(node, scaled)
    blocks[...] = blocks * factors.reshape(1, 1, -1, 1)
    assert value is not None
    rewrite(value, scaled)


def _content(value: ir.Value | None) -> npt.NDArray[np.float32]:
    array = own_constant(value)
    assert array is not None
    return array


def _sites(model: ir.Model) -> Iterator[_Site | Skip]:
    """Every normalization, or channelwise Mul and Add of one, that a matrix product reads."""
    for node in model.graph:
        made = _channelwise(node)
        if made is None:
            continue
        last, constants = made
        readers, others = _readers(last.outputs[0])
        name, channels = last.name or "", len(readers) and _inputs(readers[0])
        if not readers:
            continue
        if others:
            yield Skip(name, None, "other-readers", f"{others[0]} reads it too")
        elif not all(_matches(v, channels) for v in constants):
            text = "its scale or bias is shared, not constant, or not one number for each channel"
            yield Skip(name, None, "no-own-scale", text)
        elif any(own_constant(r.inputs[1]) is None or _inputs(r) != channels for r in readers):
            yield Skip(name, None, "shared-weight", "a weight that reads it is shared or not float32")
        else:
            yield _Site(last, last.outputs[0], tuple(v for v in constants if v is not None), tuple(readers))


def _channelwise(node: ir.Node) -> tuple[ir.Node, list[ir.Value | None]] | None:
    """The node whose output has a scale, and perhaps a bias, of its own for each channel; and these constants."""
    if node.op_type in _NORMS and node.inputs[0] is not None:
        return node, list(node.inputs[1:3])
    if node.domain not in {"", "ai.onnx"} or node.op_type != "Mul":
        return None
    scale = next((v for v in node.inputs if _is_vector(v)), None)
    if scale is None:
        return None
    uses = list(node.outputs[0].uses())
    behind = uses[0].node if len(uses) == 1 and not node.outputs[0].is_graph_output() else None
    if behind is not None and behind.op_type == "Add" and behind.graph is node.graph:
        shift = behind.inputs[1 - uses[0].idx]
        if _is_vector(shift):
            return behind, [scale, shift]
    return node, [scale]


def _is_vector(value: ir.Value | None) -> bool:
    array = own_constant(value)
    return array is not None and array.ndim > 0 and array.size == array.shape[-1] > 1


def _matches(value: ir.Value | None, channels: int) -> bool:
    return value is None or (_is_vector(value) and _content(value).size == channels)


def _inputs(node: ir.Node) -> int:
    """How many channels a matrix product reads."""
    value = node.inputs[1]
    assert value is not None
    assert value.const_value is not None
    shape = value.const_value.shape.numpy()
    flipped = node.op_type == "Gemm" and node.attributes.get_int("transB", 0) == 1
    return int(shape[-1] if flipped else shape[-2])


def _readers(value: ir.Value) -> tuple[list[ir.Node], list[str]]:
    """The matrix products that read a value along its last axis, and who else reads it."""
    found: list[ir.Node] = []
    others = ["the graph's output"] if value.is_graph_output() else []
    for use in value.uses():
        node = use.node
        if _is_product(node) and use.idx == 0 and node.graph is value.graph:
            found.append(node)
        elif use.idx == 0 and node.graph is value.graph and _keeps_last(node):
            inner, rest = _readers(node.outputs[0])
            found, others = found + inner, others + rest
        else:
            others.append(f"{node.op_type} {node.name!r}")
    return found, others


def _is_product(node: ir.Node) -> bool:
    if not is_linear(node) or node.op_type == "Conv" or node.attributes.get_int("transA", 0) == 1:
        return False
    weight = node.inputs[1]
    return weight is not None and weight.const_value is not None and len(weight.const_value.shape) == 2


def _keeps_last(node: ir.Node) -> bool:
    """Whether a node only moves whole vectors of channels."""
    if node.op_type == "Identity":
        return True
    before, after = (v.shape if v is not None else None for v in (node.inputs[0], node.outputs[0]))
    if before is None or after is None or not len(before) or not len(after):
        return False
    if node.op_type == "Reshape":
        return isinstance(before[-1], int) and before[-1] == after[-1]
    order = node.attributes.get_ints("perm")
    return node.op_type == "Transpose" and bool(order) and order[-1] == len(before) - 1
