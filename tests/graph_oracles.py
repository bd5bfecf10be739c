"""What a graph computes, asked of several implementations, and how far two answers may be apart.

Two runs of one function differ by rounding. Over a sum of K terms that is about ``eps * sqrt(K)`` of the result, over a
graph as much for the sum of all its K. A graph may amplify that (a long recurrence, a quotient); where it seems so, it is
asked: its inputs and weights are rounded anew, and what that does to the outputs is allowed ten times over.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
from cuts import RUNNER, noise
from onnx.reference import ReferenceEvaluator
from sardonyx.core.tensors import Array, Feed

EPSILON = float(np.finfo(np.float32).eps)
SLACK = 4.0
"""Times ``eps * sqrt(K)`` that may lie between two runs; the largest seen over 1,500 graphs is 0.8."""
NOISE_FACTOR, MOST_NOISE = 10.0, 1e-3

counted: Counter[str] = Counter()
"""How often graphs amplified rounding, and how often the reference was passed over, and why."""


def feed_of(model: ir.Model, count: int = 2, seed: int = 7) -> Feed:
    """One batch of seeded normal samples."""
    return next(noise(model, count, seed).batches(count))


def outputs_of(model: ir.Model, feed: Feed | None = None, *, optimize: bool = False) -> list[Array]:
    """Every output by ONNX Runtime, its optimisations off unless asked for."""
    names = [value.name for value in model.graph.outputs]
    feed = feed_of(model) if feed is None else feed
    values = next(iter(RUNNER.run(model, [feed], names, optimize=optimize)))
    return [values[name] for name in names]


def reduction_length(model: ir.Model) -> int:
    """Terms in all the sums that one output may go through: one for each node, and the length of each reduction."""
    return sum(1 + _terms(node) for node in model.graph)


def _terms(node: ir.Node) -> int:
    sizes = [
        [d if isinstance(d, int) else 1 for d in v.shape] if v is not None and v.shape else []
        for v in node.inputs
    ]
    match node.op_type:
        case "Conv" | "ConvTranspose":
            return math.prod(sizes[1][1:])
        case "MatMul" | "Gemm" | "Einsum":
            return max(sizes[1])
        case "LSTM" | "GRU":
            return sizes[0][0] * sum(dims[-1] for dims in sizes[1:3])
        case "AveragePool" | "GlobalAveragePool" | "InstanceNormalization":
            return math.prod(sizes[0][2:])
        case "Softmax" | "LayerNormalization" | "LRN" | "ReduceMean":
            return math.prod(sizes[0][1:])
    return 0


def tolerance_of(model: ir.Model) -> float:
    """Largest difference that rounding explains, as a share of an output's largest element."""
    return SLACK * EPSILON * math.sqrt(reduction_length(model))


def differences(expected: Sequence[Array], got: Sequence[Array]) -> list[float]:
    """For each output, the largest difference as a share of its largest element."""
    assert [a.shape for a in expected] == [b.shape for b in got]
    return [
        float(np.abs(a.astype(np.float64) - b).max(initial=0.0))
        / max(float(np.abs(a).max(initial=0.0)), 1e-30)
        for a, b in zip(expected, got, strict=True)
    ]


def assert_close(
    model: ir.Model, expected: Sequence[Array], got: Sequence[Array], feed: Feed | None = None
) -> None:
    """Insist that two answers are those of one function, but for rounding; ``model`` is the one that it is of."""
    found = max(differences(expected, got), default=0.0)
    allowed = tolerance_of(model)
    if not found <= allowed:
        allowed = max(allowed, min(NOISE_FACTOR * amplified(model, feed), MOST_NOISE))
        counted["graphs that amplify rounding"] += found <= allowed
    assert found <= allowed, f"outputs differ by {found:.1e} of their scale, {allowed:.1e} is allowed"


def amplified(model: ir.Model, feed: Feed | None = None) -> float:
    """What rounding all inputs and weights anew does to the outputs, as a share of their scale."""
    feed, random = feed_of(model) if feed is None else feed, np.random.default_rng(0)
    shaken = model.clone()
    for value in shaken.graph.initializers.values():
        if value.const_value is not None and value.const_value.dtype == ir.DataType.FLOAT:
            value.const_value = ir.tensor(_shaken(value.const_value.numpy(), random), name=value.name)
    moved = {name: _shaken(array, random) for name, array in feed.items()}
    return max(differences(outputs_of(model, feed), outputs_of(shaken, moved)), default=0.0)


def _shaken(array: Array, random: np.random.Generator) -> Array:
    return (array * (1 + EPSILON * random.standard_normal(array.shape))).astype(array.dtype)


def judged(model: ir.Model) -> list[Array]:
    """The outputs of a graph on which all agree.

    The checker and strict shape inference find it valid; the reference implementation and ONNX Runtime's default
    optimisations find what ONNX Runtime finds without any.
    """
    proto, feed = ir.to_proto(model), feed_of(model)
    onnx.checker.check_model(proto, full_check=True)
    onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True, data_prop=True)
    plain = outputs_of(model, feed)
    assert_close(model, plain, outputs_of(model, feed, optimize=True), feed)
    reason = reference_errs(proto)
    if reason is None:
        with np.errstate(all="ignore"):
            assert_close(model, plain, ReferenceEvaluator(proto).run(None, feed), feed)
    else:
        counted[f"reference passed over: {reason}"] += 1
    return plain


def reference_errs(proto: onnx.ModelProto) -> str | None:
    """Why the reference implementation of onnx is no judge of a graph; None where it is."""
    opset = next(entry.version for entry in proto.opset_import if not entry.domain)
    for node in proto.graph.node:
        if node.op_type == "LRN":
            return "LRN normalizes no more channels than there are samples"
        if node.op_type == "BatchNormalization" and opset < 14:
            return "BatchNormalization before opset 14 trains"
        if node.op_type == "ConvTranspose" and any(a.name == "group" and a.i > 1 for a in node.attribute):
            return "ConvTranspose of several groups fails"
    return None
