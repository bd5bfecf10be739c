"""How far the outputs on a device may be off from those that a bundle expects, chosen by measuring.

Other processors sum in another order, and ONNX Runtime fuses otherwise for them. What that does to a model is measured
by running it a second time without any optimisation: other kernels, other sums, the same mathematics. Four times the
difference found is always allowed, and never less than this:

* a model in floats: 1e-4 of each value and of the smallest output's magnitude (1e-2 where values are 16-bit floats, which
  have three digits), and 1e-5 of the largest output's magnitude, since elements near zero carry the errors of the large ones;
* a model with integers: one quantization step of the output. A value that lies between two integers is rounded up by one
  processor and down by another, and the output moves by a step. The step is the scale of the DequantizeLinear that makes
  the output, or a 255th of the range seen where a float layer makes it.

A step may tip over more than once on the way. So that a classifier is not refused for that, every second sample may be
further off where its answer is the same; what runs wrong does not answer as expected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from ..core.errors import ExpectationError
from ..core.tensors import Array
from .manifest_parts import Tolerance

MARGIN = 4.0
"""What is allowed is so many times the difference that another set of kernels makes."""

_RELATIVE, _RELATIVE_HALF, _OF_LARGEST = 1e-4, 1e-2, 1e-5
_STEPS = 255.0
_LEAST = 1e-9
_HALF = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})
_INTEGER_OPS = frozenset({"QuantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"})


class Allowance(NamedTuple):
    """What a self-test lets pass.

    Attributes:
        tolerance: How far a value may be off.
        labels_agree: Share of samples that must hold the tolerance, the others of a classifier having the same answer.
    """

    tolerance: Tolerance
    labels_agree: float


def choose_tolerance(
    model: ir.Model, expected: Mapping[str, Array], unoptimized: Mapping[str, Array]
) -> Allowance:
    """Choose what a self-test lets pass, as the module says.

    Args:
        model: The model.
        expected: Its outputs on the samples, by name.
        unoptimized: The same without optimisations.

    Raises:
        ExpectationError: An output is not finite: it could not be compared.
    """
    floats = {name: array for name, array in expected.items() if array.dtype.kind == "f"}
    if not floats:
        return Allowance(Tolerance(absolute=0.0, relative=0.0), 1.0)
    for name, array in floats.items():
        _check_finite(name, array, unoptimized[name])
    integer = is_integer(model)
    relative = _RELATIVE_HALF if _has_half(model) else _RELATIVE
    scales = [float(np.abs(array.astype(np.float64)).max(initial=0.0)) for array in floats.values()]
    steps = [_step(model, name, array) for name, array in floats.items()] if integer else []
    smallest = min((scale for scale in scales if scale), default=0.0)
    found = [_excess(array, unoptimized[name], relative) for name, array in floats.items()]
    absolute = max(_LEAST, relative * smallest, _OF_LARGEST * max(scales), MARGIN * max(found), *steps)
    return Allowance(Tolerance(absolute=absolute, relative=relative), 0.5 if integer else 1.0)


def is_integer(model: ir.Model) -> bool:
    """Whether activations become integers on the way."""
    return any(node.op_type in _INTEGER_OPS or node.op_type.startswith("QLinear") for node in _nodes(model))


def _check_finite(name: str, *arrays: Array) -> None:
    if not all(np.isfinite(array).all() for array in arrays):
        raise ExpectationError(
            f"output {name!r} is NaN or infinite on the samples: a self-test cannot compare that",
            remedy="give samples that the model is made for, with --data",
        )


def _has_half(model: ir.Model) -> bool:
    return any(value.dtype in _HALF for node in _nodes(model) for value in node.outputs) or any(
        value.dtype in _HALF for value in model.graph.initializers.values()
    )


def _nodes(model: ir.Model) -> Iterator[ir.Node]:
    return iter(ir.traversal.RecursiveGraphIterator(model.graph))


def _step(model: ir.Model, name: str, array: Array) -> float:
    """One quantization step of an output."""
    output = next(value for value in model.graph.outputs if value.name == name)
    producer = output.producer()
    if producer is not None and producer.op_type == "DequantizeLinear" and producer.inputs[1] is not None:
        scale = producer.inputs[1].const_value
        if scale is not None:
            return 1.001 * float(np.max(scale.numpy()))
    return float(np.ptp(array.astype(np.float64))) / _STEPS if array.size else 0.0


def _excess(expected: Array, other: Array, relative: float) -> float:
    """How much of a difference the relative tolerance does not cover."""
    wanted, got = expected.astype(np.float64), other.astype(np.float64)
    return float((np.abs(got - wanted) - relative * np.abs(wanted)).max(initial=0.0))
