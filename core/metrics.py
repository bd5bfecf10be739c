"""Sizes of a graph: parameters, multiply-accumulates, bytes, nodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import onnx_ir as ir

from .errors import ModelError
from .reports import GraphMetrics
from .shapes import Dims, concrete_shapes
from .tensors import input_specs

WEIGHT_TYPES = frozenset(
    {
        ir.DataType.FLOAT,
        ir.DataType.FLOAT16,
        ir.DataType.BFLOAT16,
        ir.DataType.DOUBLE,
        ir.DataType.INT8,
        ir.DataType.UINT8,
        ir.DataType.INT4,
        ir.DataType.UINT4,
        ir.DataType.INT32,
    }
)
"""Element types that count as parameters."""


def measure_graph(model: ir.Model, input_shapes: Mapping[str, Sequence[int]] | None = None) -> GraphMetrics:
    """Count what a graph holds and what one sample costs.

    Args:
        model: The graph.
        input_shapes: Shapes of one sample for each input. Left out, a free first dimension counts as one
            sample, and any other free dimension leaves the multiply-accumulates unknown.

    Returns:
        The metrics; ``params`` counts scales, biases and zero-points too, as a file holds them.
    """
    known = list(stored_tensors(model))
    return GraphMetrics(
        params=sum(t.size for t in known if t.dtype in WEIGHT_TYPES),
        macs=count_macs(model, input_shapes),
        size_bytes=sum(t.nbytes for t in known),
        nodes=sum(1 for _ in ir.traversal.RecursiveGraphIterator(model.graph)),
    )


def stored_tensors(model: ir.Model) -> Iterator[ir.TensorProtocol]:
    """The contents of every initializer and every Constant node, subgraphs included."""
    for graph in (model.graph, *model.graph.subgraphs()):
        yield from (v.const_value for v in graph.initializers.values() if v.const_value is not None)
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.op_type == "Constant" and "value" in node.attributes:
            yield node.attributes["value"].as_tensor()


def count_macs(model: ir.Model, input_shapes: Mapping[str, Sequence[int]] | None = None) -> int | None:
    """Multiply-accumulates of one sample in convolutions and matrix products of the main graph.

    Returns:
        The count, or None where a shape it depends on is unknown.
    """
    counts = node_macs(model, input_shapes)
    return None if None in counts.values() else sum(c for c in counts.values() if c is not None)


def node_macs(
    model: ir.Model, input_shapes: Mapping[str, Sequence[int]] | None = None
) -> dict[ir.Node, int | None]:
    """Multiply-accumulates of each convolution and matrix product; None where a shape is unknown."""
    shapes = _one_sample(model) if input_shapes is None else concrete_shapes(model, input_shapes)
    counts: dict[ir.Node, int | None] = {}
    for node in model.graph:
        rule = MACS_RULES.get(node.op_type)
        if rule is not None and node.domain in {"", "ai.onnx"}:
            dims = [
                shapes.get(v.name or "") if v is not None else None for v in (*node.inputs, node.outputs[0])
            ]
            counts[node] = rule(node, dims[:-1], dims[-1])
    return counts


def _one_sample(model: ir.Model) -> dict[str, Dims]:
    """The shape of every value for one sample; free ones stay free where a first dimension cannot be 1."""
    try:
        return concrete_shapes(model, sample_shapes(model))
    except ModelError:
        return concrete_shapes(model, {})


def sample_shapes(model: ir.Model) -> dict[str, tuple[int, ...]]:
    """Shapes of one sample: a free first dimension is 1; inputs with another free dimension are left out."""
    shapes: dict[str, tuple[int, ...]] = {}
    for spec in input_specs(model):
        if spec.shape is None:
            continue
        dims = [1 if i == 0 and not isinstance(d, int) else d for i, d in enumerate(spec.shape)]
        if all(isinstance(d, int) and d >= 0 for d in dims):
            shapes[spec.name] = tuple(d for d in dims if isinstance(d, int))
    return shapes


def _product(dims: Sequence[int | str | None] | None) -> int | None:
    if dims is None:
        return None
    sizes = [d for d in dims if isinstance(d, int) and d >= 0]
    return math.prod(sizes) if len(sizes) == len(dims) else None


def _times(*factors: int | None) -> int | None:
    known = [f for f in factors if f is not None]
    return math.prod(known) if len(known) == len(factors) else None


def _conv(node: ir.Node, inputs: Sequence[Dims | None], output: Dims | None) -> int | None:
    """Each output element sums over one kernel of ``W[1:]``."""
    weight = inputs[1]
    return _times(_product(output), _product(weight[1:] if weight else None))


def _conv_transpose(node: ir.Node, inputs: Sequence[Dims | None], output: Dims | None) -> int | None:
    """Each input element is spread by one kernel of ``W[1:]``."""
    weight = inputs[1]
    return _times(_product(inputs[0]), _product(weight[1:] if weight else None))


def _matmul(node: ir.Node, inputs: Sequence[Dims | None], output: Dims | None) -> int | None:
    left = inputs[0]
    return _times(_product(output), _product(left[-1:] if left else None))


def _gemm(node: ir.Node, inputs: Sequence[Dims | None], output: Dims | None) -> int | None:
    transposed = node.attributes.get_int("transA", 0)
    left = inputs[0]
    return _times(_product(output), _product(left[:1] if transposed else left[-1:]) if left else None)


def _recurrent(node: ir.Node, inputs: Sequence[Dims | None], output: Dims | None) -> int | None:
    """Input and recurrent weights are multiplied once for each step and sample."""
    steps = _product(inputs[0][:2] if inputs[0] else None)
    weights = [_product(dims) for dims in inputs[1:3]]
    return None if None in weights else _times(steps, sum(w for w in weights if w is not None))


def _einsum(node: ir.Node, inputs: Sequence[Dims | None], output: Dims | None) -> int | None:
    """One product for each combination of the letters' indices."""
    terms = node.attributes.get_string("equation", "").replace(" ", "").partition("->")[0].split(",")
    sizes: dict[str, int | None] = {}
    for term, dims in zip(terms, inputs, strict=False):
        if dims is None or len(dims) != len(term):
            return None
        sizes |= {letter: d if isinstance(d, int) else None for letter, d in zip(term, dims, strict=True)}
    return _times(*sizes.values())


MACS_RULES: dict[str, Callable[[ir.Node, Sequence[Dims | None], Dims | None], int | None]] = {
    "Conv": _conv,
    "ConvInteger": _conv,
    "ConvTranspose": _conv_transpose,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "Einsum": _einsum,
    "Gemm": _gemm,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
}
"""How the multiply-accumulates of each operator that has any are counted."""
