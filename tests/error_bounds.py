"""How far errors at some values of a float graph can move the others, element by element.

An error passes a node by the node's own rule: through a bilinear operator ``f`` as ``f(|a|, e) + f(d, |b|) + f(d, e)``,
through one that moves, averages or picks the largest elements as the elements themselves, through a function of single
elements by its steepest slope. Two kinds of error are followed by the same rules:

* ``worst``: arrays that no deviation exceeds. Normalizations and quotients divide by the least that the divisor can be.
* ``random``: variances of independent errors. Every factor is squared; products of errors count as they are, other
  rules are of first order.

What no rule is known for refuses any error at its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from sardonyx.passes.quantization.parameters import ActivationParameters

Arrays = list[np.ndarray | None]
Kind = Literal["worst", "random"]
POWER: dict[Kind, int] = {"worst": 1, "random": 2}

FLOAT_ROUNDING = 2.0**-20
"""Share of a value's largest element that float32 sums in another order may change."""
REACH = 6.0
"""Standard deviations beyond which a random error is taken never to go."""

SHAPES = frozenset({"Shape", "Size"})
MULTILINEAR = frozenset("Conv ConvTranspose Gemm MatMul Mul Einsum".split())
ADDITIVE = frozenset("Add Sub Sum Mean Max Min".split())
_MOVING = (
    "AveragePool DepthToSpace Dropout Expand Flatten Gather GlobalAveragePool Identity MaxPool ReduceMax ReduceMean "
    "Reshape Resize Slice SpaceToDepth Split Squeeze Tile Transpose Unsqueeze"
)
CARRIED: dict[str, Iterable[int]] = {
    **dict.fromkeys(_MOVING.split(), (0,)),
    "Concat": range(100),
    "Pad": (0, 2),
    "Where": (1, 2),
}
"""Operators that hand on, average or compare elements, and which of their inputs those are."""

SLOPES = {
    **dict.fromkeys("Clip Elu LeakyRelu Neg PRelu Relu Softplus Tanh".split(), 1.0),
    "Erf": 1.13,
    "Gelu": 1.13,
    "Sigmoid": 0.25,
}
"""The steepest slope of functions of single elements, at their usual attributes; a PRelu's own slopes count too."""


class UnboundedError(Exception):
    """An error reaches an operator without a rule."""


@dataclass(frozen=True)
class Passing:
    """A node that an error passes.

    Attributes:
        node: The node.
        kind: The kind of error.
        held: What its inputs hold; None for one that is left out.
        off: Their errors, zero for exact ones.
        result: What its first output holds.
    """

    node: ir.Node
    kind: Kind
    held: Arrays
    off: Arrays
    result: np.ndarray

    @property
    def power(self) -> int:
        """1 where errors are magnitudes, 2 where they are variances."""
        return POWER[self.kind]

    @property
    def reach(self) -> np.ndarray:
        """How far the first input goes from what it holds."""
        return self.off[0] if self.kind == "worst" else REACH * np.sqrt(self.off[0])


def error_bounds(
    model: ir.Model,
    values: Mapping[str, np.ndarray],
    grids: Mapping[str, ActivationParameters],
    kind: Kind,
) -> dict[str, np.ndarray]:
    """Follow what rounding some values to integer grids does to all others.

    Args:
        model: The graph.
        values: What its values hold, constants included.
        grids: The grid of each value that is rounded.
        kind: Largest errors, or variances.

    Returns:
        The error of each value that has one, of the value's shape.

    Raises:
        UnboundedError: An error reaches an operator without a rule.
    """
    errors: dict[str, np.ndarray] = {}
    for value in model.graph.inputs:
        _round(value.name, values, grids, kind, errors)
    for node in model.graph:
        if node.op_type not in SHAPES and any(v is not None and v.name in errors for v in node.inputs):
            passed = _passed(_passing(node, kind, values, errors))
            for output, error in zip(node.outputs, passed, strict=False):
                slack = FLOAT_ROUNDING * np.abs(values[output.name]).max(initial=0.0)
                shape = values[output.name].shape
                errors[output.name] = np.broadcast_to(error, shape) + slack ** POWER[kind]
        for output in node.outputs:
            _round(output.name, values, grids, kind, errors)
    return errors


def _round(
    name: str,
    values: Mapping[str, np.ndarray],
    grids: Mapping[str, ActivationParameters],
    kind: Kind,
    errors: dict[str, np.ndarray],
) -> None:
    """Half a step more, and what lies beyond the ends of the grid: clipping brings no two numbers farther apart."""
    if name in grids:
        grid, value = grids[name], values[name]
        beyond = np.maximum(np.maximum(value - grid.high, grid.low - value), 0.0)
        own = 0.5 * grid.scale if kind == "worst" else grid.scale**2 / 12
        errors[name] = errors.get(name, 0.0) + beyond ** POWER[kind] + own


def _passing(
    node: ir.Node, kind: Kind, values: Mapping[str, np.ndarray], errors: Mapping[str, np.ndarray]
) -> Passing:
    names = [v.name if v is not None else None for v in node.inputs]
    held: Arrays = [np.asarray(values[n]) if n is not None else None for n in names]
    off: Arrays = [
        None if n is None else errors.get(n, np.zeros_like(a)) for n, a in zip(names, held, strict=True)
    ]
    return Passing(node, kind, held, off, values[node.outputs[0].name])


def _passed(at: Passing) -> list[np.ndarray]:
    """The errors of a node's outputs."""
    op = at.node.op_type
    if op in CARRIED:
        return execute(at.node, [at.off[i] if i in CARRIED[op] else a for i, a in enumerate(at.held)])
    if op in ADDITIVE:
        return [np.asarray(sum(a for a in at.off if a is not None))]
    if op in MULTILINEAR:
        return [_multilinear(at)]
    if op in SLOPES:
        return [_sloped(at)]
    if op in RULES:
        return [RULES[op](at)]
    raise UnboundedError(op)


def _multilinear(at: Passing) -> np.ndarray:
    """Of two factors, each combination that has an error in it; what is added to them is constant."""
    assert not any(a.any() for a in at.off[2:] if a is not None)
    rest: Arrays = [None if a is None else np.zeros_like(a) for a in at.held[2:]]
    (a, b), (d, e) = (np.abs(x) ** at.power for x in at.held[:2]), at.off[:2]
    terms = [pair for pair in ((a, e), (d, b), (d, e)) if pair[0].any() and pair[1].any()]
    if not terms:
        return np.zeros_like(at.result)
    gain = abs(at.node.attributes.get_float("alpha", 1.0)) ** (at.power - 1)  # Gemm's own factor counts once
    return np.asarray(sum(np.abs(execute(at.node, [*pair, *rest])[0]) for pair in terms)) * gain


def _sloped(at: Passing) -> np.ndarray:
    """An error that stays where the function is flat goes no further."""
    op, steep = at.node.op_type, np.float32(SLOPES[at.node.op_type])
    low, high = {"Relu": (0.0, np.inf), "Clip": tuple(map(float, at.held[1:]))}.get(op, (-np.inf, np.inf))
    if op == "PRelu":
        steep = np.maximum(steep, np.abs(at.held[1]))
    moves = (at.held[0] + at.reach > low) & (at.held[0] - at.reach < high)
    return np.where(moves, steep**at.power * at.off[0], np.float32(0.0))


def _softmax(at: Passing) -> np.ndarray:
    """No ratio of two exponentials changes by more than ``exp(2 e)``."""
    axis = at.node.attributes.get_int("axis", -1)
    if at.kind == "worst":
        return at.result * np.expm1(2.0 * at.off[0].max(axis=axis, keepdims=True))
    return at.result**2 * (at.off[0] + (at.result**2 * at.off[0]).sum(axis=axis, keepdims=True))


def _layer_norm(at: Passing) -> np.ndarray:
    axis = at.node.attributes.get_int("axis", -1)
    return _normalized(at, tuple(range(axis % at.held[0].ndim, at.held[0].ndim)), at.held[1])


def _instance_norm(at: Passing) -> np.ndarray:
    axes = tuple(range(2, at.held[0].ndim))
    return _normalized(at, axes, at.held[1].reshape(-1, *[1] * len(axes)))


def _normalized(at: Passing, axes: tuple[int, ...], gain: np.ndarray) -> np.ndarray:
    """The deviation is a norm, which an error changes by no more than the error's own norm."""
    x, off = at.held[0], at.off[0]
    centred, shift = x - x.mean(axes, keepdims=True), off + off.mean(axes, keepdims=True)
    deviation = np.sqrt(
        (centred**2).mean(axes, keepdims=True) + at.node.attributes.get_float("epsilon", 1e-5)
    )
    unit = np.abs(centred) / deviation
    if at.kind == "random":
        count = np.prod([x.shape[a] for a in axes])
        mean, along = (a.mean(axes, keepdims=True) / count for a in (off, unit**2 * off))
        return (off + mean + unit**2 * along) * (gain / deviation) ** 2
    change = np.sqrt((shift**2).mean(axes, keepdims=True))
    return (shift + unit * change) / _least(deviation, change) * np.abs(gain)


def _least(divisor: np.ndarray, error: np.ndarray) -> np.ndarray:
    """The least that a divisor can be."""
    least = divisor - error
    if (least <= 0.0).any():
        raise UnboundedError("a division by what may be zero")
    return least


def _batch_norm(at: Passing) -> np.ndarray:
    gain = np.abs(at.held[1]) / np.sqrt(at.held[4] + at.node.attributes.get_float("epsilon", 1e-5))
    return at.off[0] * gain.reshape(-1, *[1] * (at.off[0].ndim - 2)) ** at.power


def _quotient(at: Passing) -> np.ndarray:
    divisor = np.abs(at.held[1])
    least = divisor if at.kind == "random" else _least(divisor, at.off[1])
    return (at.off[0] + np.abs(at.result) ** at.power * at.off[1]) / least**at.power


def _root(at: Passing) -> np.ndarray:
    """A root is steepest where its argument is least."""
    least = at.held[0] if at.kind == "random" else _least(at.held[0], at.off[0])
    return at.off[0] / (2.0 * np.sqrt(least)) ** at.power


RULES: dict[str, Callable[[Passing], np.ndarray]] = {
    "BatchNormalization": _batch_norm,
    "Div": _quotient,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "Softmax": _softmax,
    "Sqrt": _root,
}


def execute(node: ir.Node, arrays: Arrays) -> list[np.ndarray]:
    """Run a single node on other inputs."""
    proto = ir.to_proto(node)
    given = {name: np.asarray(a) for name, a in zip(proto.input, arrays, strict=True) if a is not None}
    floats = proto.output[:1] if node.op_type in {"Dropout", "MaxPool"} else proto.output
    graph = onnx.helper.make_graph(
        [proto],
        "one",
        [onnx.helper.make_tensor_value_info(n, _kind(a), a.shape) for n, a in given.items()],
        [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in floats],
    )
    assert node.graph is not None
    opset = onnx.helper.make_opsetid("", node.graph.opset_imports[""])
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(
        None, {n: a.astype(np.float32) if a.dtype.kind == "f" else a for n, a in given.items()}
    )


def _kind(array: np.ndarray) -> int:
    kind = np.dtype(np.float32) if array.dtype.kind == "f" else array.dtype
    return onnx.helper.np_dtype_to_tensor_dtype(kind)
