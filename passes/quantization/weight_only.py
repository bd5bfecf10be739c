"""Weight-only quantization: blocks of 4 or 8 bits along the inner axis, rounded to nearest, no samples needed.

The weight of a MatMul or Gemm becomes ``com.microsoft.MatMulNBits``: activations stay float, the weight is
read in a quarter or an eighth of the bytes. Each output column is cut into blocks along ``K`` with a scale
(and a zero-point) each; two 4-bit numbers share a byte, the first in the low half.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnx_ir.passes.common as stock

from ...core.errors import InputError, ModelError, UsageError
from ...core.metrics import measure_graph
from ...core.reports import Change, PassReport, Skip
from ...core.tensors import Array
from ..base import validate
from ..cleanup import CleanupPass
from ..folding import constant
from .quantizer import refuse_quantized

_DOMAIN = "com.microsoft"
_SMALLEST_SCALE = 1e-30


@dataclass(frozen=True)
class WeightOnlyOptions:
    """Options of weight-only quantization.

    Attributes:
        bits: Bits of a weight.
        block_size: Weights that share a scale: a power of two, at least 16.
        symmetric: Whether the zero-point is the middle for every block; otherwise each block has its own.
        exclude: Glob patterns of node names that stay float.
        force: Whether a model that holds quantized operators already is taken.
    """

    bits: Literal[4, 8] = 4
    block_size: int = 32
    symmetric: bool = False
    exclude: tuple[str, ...] = ()
    force: bool = False

    def __post_init__(self) -> None:
        if self.bits not in {4, 8}:
            raise UsageError(f"{self.bits} bits are not known", remedy="choose 4 or 8")
        if self.block_size < 16 or self.block_size & (self.block_size - 1):
            raise UsageError(f"block size {self.block_size}", remedy="choose a power of two from 16 on")


@dataclass(frozen=True)
class Blocks:
    """A weight of shape ``(K, N)`` in blocks along ``K``.

    Attributes:
        packed: The integers, shape ``(N, blocks, block_size * bits / 8)``.
        scales: Shape ``(N, blocks)``, all above zero.
        zero_points: Shape ``(N, blocks)``, one number each, not packed.
    """

    packed: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.float32]
    zero_points: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class BlockError:
    """The error of one weight.

    Attributes:
        node: The node it belongs to.
        sqnr_db: Signal to quantization noise of the weight in decibels.
        size_bytes: Bytes of integers, scales and zero-points.
    """

    node: str
    sqnr_db: float
    size_bytes: int


@dataclass
class WeightOnlyReport(PassReport):
    """The report of weight-only quantization.

    Attributes:
        weights: The error of each weight.
    """

    weights: list[BlockError] = field(default_factory=list)


@dataclass(frozen=True)
class WeightOnlyOutcome:
    """A model with quantized weights and what was done.

    Attributes:
        model: The model.
        report: Errors, and the nodes that stay float.
    """

    model: ir.Model
    report: WeightOnlyReport


def quantize_weights(model: ir.Model, options: WeightOnlyOptions | None = None) -> WeightOnlyOutcome:
    """Quantize the constant weights of matrix products in blocks.

    Args:
        model: Left as it is.
        options: How; the defaults if left out.

    Raises:
        InputError: The model is quantized already, or has no matrix product with a constant weight.
        ModelError: A weight is not finite.
    """
    options = options or WeightOnlyOptions()
    refuse_quantized(model, force=options.force)
    result = model.clone()
    CleanupPass()(result)
    report = WeightOnlyReport("quantize-weights", before=measure_graph(model))
    for node in list(result.graph):
        if node.op_type not in {"MatMul", "Gemm"} or node.domain not in {"", "ai.onnx"}:
            continue
        reason = _why_float(node, options)
        if reason is not None:
            report.skipped.append(reason)
            continue
        report.weights.append(_replace(node, options))
        report.applied.append(Change(node.name or "", "weight", "float32", f"int{options.bits}"))
    if not report.applied:
        raise InputError("no matrix product has a constant weight", remedy="use static quantization instead")
    result.opset_imports[_DOMAIN] = 1
    stock.RemoveUnusedNodesPass()(result)
    validate(result)
    report.after = measure_graph(result)
    return WeightOnlyOutcome(result, report)


def quantize_blocks(weight: Array, bits: int, block_size: int, *, symmetric: bool) -> Blocks:
    """Round a weight to the nearest integers of its blocks.

    Args:
        weight: Finite numbers, shape ``(K, N)``.
        bits: 4 or 8.
        block_size: Weights along ``K`` that share a scale.
        symmetric: Whether the zero-point is always the middle.
    """
    rows, columns = weight.shape
    count = -(-rows // block_size)
    padded = np.zeros((count * block_size, columns), np.float32)
    padded[:rows] = weight
    blocks = padded.T.reshape(columns, count, block_size)
    low, high = np.minimum(blocks.min(-1), 0.0), np.maximum(blocks.max(-1), 0.0)
    top, middle = 2**bits - 1, 2 ** (bits - 1)
    own = np.maximum(-low / middle, high / (middle - 1))
    scales = own if symmetric else (high - low) / np.float32(top)
    scales = np.where(scales < _SMALLEST_SCALE, 1.0, scales).astype(np.float32)
    zeros = np.full(scales.shape, middle) if symmetric else np.clip(np.rint(-low / scales), 0, top)
    steps = np.floor(blocks / scales[..., None] + zeros[..., None].astype(np.float32) + 0.5)
    integers = np.clip(steps, 0, top).astype(np.uint8)
    return Blocks(_pack(integers, bits), scales, zeros.astype(np.uint8))


def restore_blocks(blocks: Blocks, rows: int, bits: int) -> npt.NDArray[np.float32]:
    """The weight that the blocks stand for, shape ``(rows, N)``."""
    integers = _unpack(blocks.packed, bits).astype(np.float32)
    values = (integers - blocks.zero_points[..., None]) * blocks.scales[..., None]
    restored: npt.NDArray[np.float32] = values.reshape(len(values), -1).T[:rows]
    return restored


def _pack(integers: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    """Two 4-bit numbers to a byte along the last axis, the first in the low half; an odd end is filled with 8."""
    if bits == 8:
        return integers
    if integers.shape[-1] % 2:
        integers = np.concatenate([integers, np.full((*integers.shape[:-1], 1), 8, np.uint8)], axis=-1)
    return np.asarray(integers[..., 0::2] | (integers[..., 1::2] << 4), np.uint8)


def _unpack(packed: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    if bits == 8:
        return packed
    return np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], -1)


def _why_float(node: ir.Node, options: WeightOnlyOptions) -> Skip | None:
    name, weight = node.name or "", constant(node.inputs[1])
    if any(fnmatchcase(name, pattern) for pattern in options.exclude):
        return Skip(name, None, "excluded", "excluded by the user")
    if weight is None or weight.ndim != 2 or weight.dtype != np.float32:
        return Skip(name, None, "constant", "its weight is not a constant float32 matrix")
    if node.attributes.get_int("transA", 0):
        return Skip(name, None, "transposed", "its activation is transposed")
    if not np.isfinite(weight).all():
        raise ModelError(
            f"initializer {node.inputs[1].name!r} holds NaN or infinity",  # type: ignore[union-attr]
            remedy="repair the weights, or keep the node float with --exclude",
        )
    return None


def _replace(node: ir.Node, options: WeightOnlyOptions) -> BlockError:
    """Put MatMulNBits, and an Add for a Gemm's bias, in the place of a node."""
    graph, weight = node.graph, _weight(node)
    assert isinstance(graph, ir.Graph)
    blocks = quantize_blocks(weight, options.bits, options.block_size, symmetric=options.symmetric)
    inputs = [node.inputs[0], *_initializers(graph, node, blocks, options)]
    sizes = {
        "K": weight.shape[0],
        "N": weight.shape[1],
        "bits": options.bits,
        "block_size": options.block_size,
    }
    product = ir.node("MatMulNBits", inputs, attributes=sizes, domain=_DOMAIN, version=1, name=node.name)
    nodes = [product, *_bias(graph, node, product)]
    old, new = node.outputs[0], nodes[-1].outputs[0]
    name, new.type, new.shape = old.name, old.type, old.shape
    graph.insert_before(node, nodes)
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    new.name = name
    if product.outputs[0] is not new:
        product.outputs[0].name = f"{name}_product"
    error = weight - restore_blocks(blocks, len(weight), options.bits)
    ratio = float(np.sum(np.square(weight), dtype=np.float64) / max(np.sum(np.square(error)), 1e-30))
    size = (
        blocks.packed.nbytes + blocks.scales.nbytes + (0 if options.symmetric else blocks.zero_points.nbytes)
    )
    return BlockError(node.name or "", 10 * math.log10(max(ratio, 1e-30)), size)


def _weight(node: ir.Node) -> Array:
    """The weight as ``(K, N)``, with a Gemm's ``alpha`` in it."""
    weight = constant(node.inputs[1])
    assert weight is not None
    if node.op_type == "MatMul":
        return weight
    turned = weight.T if node.attributes.get_int("transB", 0) else weight
    scaled: Array = turned * np.float32(node.attributes.get_float("alpha", 1.0))
    return scaled


def _initializers(
    graph: ir.Graph, node: ir.Node, blocks: Blocks, options: WeightOnlyOptions
) -> list[ir.Value]:
    name = node.inputs[1].name if node.inputs[1] is not None else node.name
    arrays: dict[str, Array] = {"packed": blocks.packed, "scales": blocks.scales}
    if not options.symmetric:
        arrays["zero_points"] = _pack(blocks.zero_points, options.bits)
    return [_initializer(graph, f"{node.name}.{name}_{part}", array) for part, array in arrays.items()]


def _bias(graph: ir.Graph, node: ir.Node, product: ir.Node) -> list[ir.Node]:
    if node.op_type == "MatMul" or len(node.inputs) < 3 or node.inputs[2] is None:
        return []
    bias, beta = node.inputs[2], node.attributes.get_float("beta", 1.0)
    array = constant(bias)
    if beta != 1.0 and array is not None:
        bias = _initializer(graph, f"{node.name}.{bias.name}_scaled", array * np.float32(beta))
    elif beta != 1.0:
        raise ModelError(
            f"{node.name!r} scales a bias that is computed", remedy="keep the node float with --exclude"
        )
    return [ir.node("Add", [product.outputs[0], bias], name=f"{node.name}_bias")]


def _initializer(graph: ir.Graph, name: str, array: Array) -> ir.Value:
    while name in graph.initializers:
        name += "_"
    tensor = ir.tensor(array, name=name)
    value = ir.Value(
        name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor
    )
    graph.register_initializer(value)
    return value
