"""A float model made ready for Q/DQ: clean, in float32, at an opset that Q/DQ can be written in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from ...calib_data.data import CalibrationData
from ...calib_data.runner import Runner
from ...core.errors import InputError
from ..cleanup import CleanupPass
from ..precision import is_narrow, to_float32
from .affine import join_biases, postpone_normalizations
from .costs import Shape
from .fidelity import sample_shapes_of
from .opset import lower_opset, raise_opset

QUANTIZED_OPS = frozenset(
    {
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "ConvInteger",
        "MatMulInteger",
        "MatMulNBits",
        "DynamicQuantizeLSTM",
        "DynamicQuantizeMatMul",
        "GatherBlockQuantized",
        "MatMulIntegerToFloat",
        "QAttention",
        "QGemm",
    }
)
"""Operators by which a model is known to be quantized, besides all whose names start with ``QLinear``."""


@dataclass(frozen=True)
class Prepared:
    """A float model ready for Q/DQ.

    Attributes:
        model: The model.
        shapes: The shape of each float value of its main graph on one sample.
        opset: Version of the default operator set before and after.
        widened: Whether its weights were half precision, and float32 was made of them.
    """

    model: ir.Model
    shapes: Mapping[str, Shape]
    opset: tuple[int, int]
    widened: bool


def prepare(model: ir.Model, opset: int, data: CalibrationData, runner: Runner) -> Prepared:
    """A clean float32 copy of a model, at least at an opset, and at none that Q/DQ is not computed in.

    Args:
        model: Left as it is.
        opset: The opset needed.
        data: Samples for the model's inputs.
        runner: Executes graphs.

    Raises:
        ModelError: A value cannot be made float32, or the opset cannot be raised or lowered.
    """
    widened, base = is_narrow(model), clean_float32(model)
    before = base.opset_imports.get("", 0)
    raised = at_opset(base, opset, data, runner)
    base = _clean_unless(raised, lower_opset(raised, data, runner))
    postpone_normalizations(base)
    shapes = sample_shapes_of(base, data, runner)
    join_biases(base, shapes)
    return Prepared(base, shapes, (before, base.opset_imports.get("", 0)), widened)


def clean_float32(model: ir.Model) -> ir.Model:
    """A cleaned copy of a model, in float32 where it was half precision.

    Raises:
        ModelError: A value cannot be made float32.
    """
    base = to_float32(model)
    CleanupPass()(base)
    return base


def at_opset(base: ir.Model, opset: int, data: CalibrationData, runner: Runner) -> ir.Model:
    """A clean model at an opset at least; itself where it is there already.

    Raises:
        ModelError: The opset cannot be raised.
    """
    return _clean_unless(base, raise_opset(base, opset, data, runner))


def _clean_unless(clean: ir.Model, model: ir.Model) -> ir.Model:
    if model is not clean:
        CleanupPass()(model)
    return model


def refuse_quantized(model: ir.Model, *, force: bool) -> None:
    """Refuse a model that holds quantized operators already.

    Raises:
        InputError: It does, and ``force`` is not set.
    """
    node = None if force else quantized_node(model)
    if node is not None:
        raise InputError(
            f"the model is quantized already ({node.op_type} {node.name!r})",
            remedy="quantize the float model, or take this one as it is with --force",
        )


def quantized_node(model: ir.Model) -> ir.Node | None:
    """The first node of a model, its bodies included, that computes on integers that stand for floats."""
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.op_type in QUANTIZED_OPS or node.op_type.startswith("QLinear"):
            return node
    return None
