"""Weight-only quantization: blocks of 4 or 8 bits, activations stay float.

The weight of a MatMul or Gemm becomes ``com.microsoft.MatMulNBits``, an embedding table
``com.microsoft.GatherBlockQuantized``: they are read in a quarter or an eighth of the bytes. Rounding to nearest and
half-quadratic rounding need no samples, GPTQ-like rounding does. Graphs inside If, Loop and Scan are entered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnx_ir.passes.common as stock

from ...calib_data.collector import collect
from ...calib_data.data import CalibrationData
from ...calib_data.observers import Gram
from ...calib_data.runner import OrtRunner, Runner
from ...calib_data.visits import DEFAULT_MEMORY_BYTES, fit_together
from ...core.errors import InputError, UsageError
from ...core.metrics import measure_graph
from ...core.reports import Change, PassReport, Skip
from ...core.tensors import Array, input_specs
from ..base import validate
from ..constants import add_constant
from ..output_error import OutputError
from .blocks import BlockFormat, Blocks, quantize_blocks
from .constant_products import (
    PRODUCTS,
    bias_nodes,
    graph_of,
    is_standard,
    matrix_of,
    put_in_place,
    why_no_product,
)
from .embeddings import LOOKUPS, is_lookup, replace_table, why_no_table
from .gptq import round_blocks
from .hqq import half_quadratic
from .preparation import clean_float32, refuse_quantized
from .weight_errors import WeightError, blocks_sqnr_db

_DOMAIN = "com.microsoft"

Rounding = Literal["nearest", "gptq", "hqq"]
ROUNDINGS: dict[Rounding, str] = {
    "nearest": "to the nearest integers, no samples needed",
    "gptq": "what an input loses is taken over by the inputs that follow; needs samples",
    "hqq": "half-quadratic zero-points, no samples needed; slow where the kernel wants integers, as on a CPU",
}
"""Ways to choose the integers of a weight."""


@dataclass(frozen=True)
class WeightOnlyOptions:
    """Options of weight-only quantization.

    Attributes:
        bits: Bits of a weight.
        block_size: Weights that share a scale: a power of two, at least 16.
        symmetric: Whether the zero-point is the middle for every block; otherwise each block has its own.
        rounding: How the integers of matrix products are chosen; embedding tables are rounded to nearest.
        embeddings: Whether embedding tables are quantized too.
        exclude: Glob patterns of node names that stay float.
        force: Whether a model that holds quantized operators already is taken.
        batch_size: Most samples in one run.
        memory_bytes: Cap on what is held of the layers' inputs at once.
        error_samples: Most samples on which the error of the outputs is measured, where samples are given.
    """

    bits: Literal[4, 8] = 4
    block_size: int = 32
    symmetric: bool = False
    rounding: Rounding = "nearest"
    embeddings: bool = True
    exclude: tuple[str, ...] = ()
    force: bool = False
    batch_size: int = 32
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    error_samples: int = 16

    def __post_init__(self) -> None:
        if self.bits not in {4, 8}:
            raise UsageError(f"{self.bits} bits are not known", remedy="choose 4 or 8")
        if self.block_size < 16 or self.block_size & (self.block_size - 1):
            raise UsageError(f"block size {self.block_size}", remedy="choose a power of two from 16 on")
        if self.rounding not in ROUNDINGS:
            raise UsageError(
                f"unknown rounding {self.rounding!r}", remedy=f"choose one of {', '.join(ROUNDINGS)}"
            )
        if self.rounding == "hqq" and self.symmetric:
            raise UsageError("hqq chooses zero-points, symmetric fixes them", remedy="give one of the two")
        if self.rounding == "hqq" and self.bits != 4:
            raise UsageError(
                f"hqq with {self.bits} bits: the kernel takes its zero-points with 4 only",
                remedy="choose 4 bits, or nearest or gptq",
            )
        if min(self.batch_size, self.memory_bytes, self.error_samples) < 1:
            raise UsageError(
                "batch_size, memory_bytes and error_samples are counts", remedy="give positive numbers"
            )

    @property
    def form(self) -> BlockFormat:
        """How weights are cut."""
        return BlockFormat(self.bits, self.block_size, self.symmetric)


@dataclass
class WeightOnlyReport(PassReport):
    """The report of weight-only quantization.

    Attributes:
        weights: The error of each weight.
        output_errors: For each output, its error on the samples: the length of the difference over the length of the
            float one; empty without samples.
    """

    weights: list[WeightError] = field(default_factory=list)
    output_errors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class WeightOnlyOutcome:
    """A model with quantized weights and what was done.

    Attributes:
        model: The model.
        report: Errors, and the nodes that stay float.
    """

    model: ir.Model
    report: WeightOnlyReport


def quantize_weights(
    model: ir.Model,
    options: WeightOnlyOptions | None = None,
    data: CalibrationData | None = None,
    runner: Runner | None = None,
) -> WeightOnlyOutcome:
    """Quantize the constant weights of matrix products and embedding tables in blocks.

    Args:
        model: Left as it is.
        options: How; the defaults if left out.
        data: Samples for the rounding that needs them, and for the error of the outputs.
        runner: Executes graphs; ONNX Runtime by default.

    Raises:
        UsageError: The rounding needs samples and there are none.
        InputError: The model is quantized already, or has no matrix product or table with a constant weight.
        ModelError: A weight is not finite.
        DataError: The samples do not fit the model, or hold NaN or infinity.
        LimitError: The moments of a single layer do not fit the memory cap.
    """
    options, runner = options or WeightOnlyOptions(), runner or OrtRunner()
    if options.rounding == "gptq" and data is None:
        raise UsageError("gptq rounding needs samples", remedy="add --calib DATA, or choose nearest or hqq")
    refuse_quantized(model, force=options.force)
    base = clean_float32(model)
    bound = None if data is None else data.for_model(input_specs(base))
    result = base.clone()
    report = WeightOnlyReport("quantize-weights", before=measure_graph(model))
    products, tables = _candidates(result, options, report)
    for node, moments in _with_moments(products, base, bound, options, runner):
        report.weights.append(_replace(node, options, moments, report))
    report.weights += [replace_table(node, options.form) for node in tables]
    report.applied = [Change(e.node, "weight", "float32", f"int{options.bits}") for e in report.weights]
    if not report.applied:
        raise InputError(
            "no matrix product has a constant weight, and no lookup a table",
            remedy="use static quantization instead",
        )
    result.opset_imports[_DOMAIN] = 1
    stock.RemoveUnusedNodesPass()(result)
    validate(result)
    report.after = measure_graph(result)
    if bound is not None:
        report.output_errors = OutputError(base, bound, runner, samples=options.error_samples).of(result)
    return WeightOnlyOutcome(result, report)


def _candidates(
    model: ir.Model, options: WeightOnlyOptions, report: WeightOnlyReport
) -> tuple[list[ir.Node], list[ir.Node]]:
    """Matrix products and lookups to quantize; the others go into the report."""
    products: list[ir.Node] = []
    tables: list[ir.Node] = []
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if is_standard(node, PRODUCTS):
            kind, skip = products, why_no_product(node, options.exclude)
        elif is_standard(node, LOOKUPS) and is_lookup(node):
            kind, skip = tables, why_no_table(node, options.exclude, options.form)
            if not options.embeddings:
                skip = Skip(node.name or "", None, "not-asked", "embedding tables were not asked for")
        else:
            continue
        if skip is None:
            kind.append(node)
        else:
            report.skipped.append(skip)
    return products, tables


_Moments = npt.NDArray[np.float64]


def _with_moments(
    products: list[ir.Node],
    base: ir.Model,
    data: CalibrationData | None,
    options: WeightOnlyOptions,
    runner: Runner,
) -> Iterator[tuple[ir.Node, _Moments | None]]:
    """Each product with the second moments of what it reads, where rounding wants them and samples reach it.

    The moments of as many layers as fit the cap are collected in one run.
    """
    inside = {v.name for v in base.graph.inputs} | {v.name for n in base.graph for v in n.outputs}
    wanted: dict[str, list[ir.Node]] = {}
    for node in products:
        name = node.inputs[0].name if node.inputs[0] is not None else None
        if options.rounding == "gptq" and data is not None and name in inside:
            wanted.setdefault(name or "", []).append(node)
        else:
            yield node, None
    if data is None:
        return
    sizes = {name: 8 * matrix_of(nodes[0]).shape[0] ** 2 for name, nodes in wanted.items()}
    for names in fit_together(sizes, options.memory_bytes // 2):
        part = {name: Gram(axis=-1) for name in names}
        collect(
            base,
            data,
            {name: [gram] for name, gram in part.items()},
            runner=runner,
            batch_size=options.batch_size,
            memory_bytes=options.memory_bytes,
        )
        for name, gram in part.items():
            yield from ((node, gram.second_moment) for node in wanted[name])


def _replace(
    node: ir.Node, options: WeightOnlyOptions, moments: _Moments | None, report: WeightOnlyReport
) -> WeightError:
    """Put MatMulNBits, and an Add for a Gemm's bias, in the place of a node."""
    weight = matrix_of(node)
    blocks, rounding, gain = _rounded(weight, options, moments)
    if rounding != options.rounding:
        text = "rounded to nearest: samples do not reach into the graph that it stands in"
        report.skipped.append(Skip(node.name or "", None, "inner-graph", text))
    weight_name = node.inputs[1].name if node.inputs[1] is not None else ""
    arrays = blocks.stored(options.form)
    parts = [
        add_constant(graph_of(node), f"{node.name}.{weight_name}_{part}", array)
        for part, array in arrays.items()
    ]
    sizes = {
        "K": weight.shape[0],
        "N": weight.shape[1],
        "bits": options.bits,
        "block_size": options.block_size,
    }
    product = ir.node(
        "MatMulNBits",
        [node.inputs[0], *parts],
        attributes=sizes,
        domain=_DOMAIN,
        version=1,
        name=node.name,
    )
    put_in_place(node, [product, *bias_nodes(node, product.outputs[0])])
    error = blocks_sqnr_db(weight, blocks, options.bits)
    return WeightError(product.name or "", error, blocks.nbytes(options.form), rounding, gain)


def _rounded(
    weight: Array, options: WeightOnlyOptions, moments: _Moments | None
) -> tuple[Blocks, Rounding, float | None]:
    """The blocks, how they were rounded, and what that gained on the samples."""
    if options.rounding == "hqq":
        return half_quadratic(weight, options.form), "hqq", None
    if moments is None:
        return quantize_blocks(weight, options.form), "nearest", None
    blocks, gain = round_blocks(weight, moments, options.form)
    return blocks, "gptq", gain
