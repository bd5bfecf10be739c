"""Units: which Q/DQ nodes go together with an operator."""

from __future__ import annotations

import numpy as np
import pytest
from sardonyx.deploy.qdq_units import Unit, find_units
from usability_graphs import Graph


def units(graph: Graph, *outputs) -> list[Unit]:
    return list(find_units(graph.model(*outputs).graph, {"": graph.opset}))


def shapes(found: list[Unit]) -> list[str]:
    return [">".join(n.op_type.removesuffix("Linear") for n in unit.nodes) for unit in found]


def test_a_convolution_takes_its_weights_with_it() -> None:
    g = Graph()
    y = g.qdq(g.op("Conv", g.qdq(g.x), g.stored(2, 4, 3, 3)))
    found = units(g, y)
    assert shapes(found) == ["Quantize", "Dequantize>Dequantize>Conv>Quantize", "Dequantize"]
    assert found[1].source(0).name != found[1].target.inputs[0].name


def test_a_shared_dequantizer_is_in_every_group_that_reads_it() -> None:
    g = Graph()
    x = g.qdq(g.x)
    found = units(g, *(g.q(g.op(kind, x)) for kind in ("Sigmoid", "Tanh")))
    assert shapes(found)[1:] == ["Dequantize>Sigmoid>Quantize", "Dequantize>Tanh>Quantize"]
    assert found[1].dequantize == found[2].dequantize


def test_a_dequantizer_that_others_read_too_stands_alone_as_well() -> None:
    g = Graph()
    x = g.qdq(g.x)
    assert shapes(units(g, g.q(g.op("Tanh", x)), g.op("Erf", x))) == [
        "Quantize",
        "Dequantize",
        "Dequantize>Tanh>Quantize",
        "Erf",
    ]


@pytest.mark.parametrize(
    ("activation", "zero", "is_inside"),
    [("Relu", 0, True), ("Relu", 3, False), ("Clip", 0, True), ("Clip", 3, False)],
)
def test_an_activation_that_the_range_implies_belongs_to_the_group(activation, zero, is_inside) -> None:
    g = Graph()
    y = g.op("Add", g.qdq(g.x), g.qdq(g.x))
    y = g.clip(y, 0, 25.6) if activation == "Clip" else g.op("Relu", y)
    found = units(g, g.q(y, scale=0.1, zero=zero))
    assert (found[-1].implied != ()) == is_inside


@pytest.mark.parametrize(
    ("build", "opset"),
    [
        (lambda g: g.q(g.op("Add", g.qdq(g.x), g.x)), 17),  # an input that is not quantized
        (lambda g: g.q(g.op("Sigmoid", g.qdq(g.x)), kind="int8"), 17),  # another type behind
        (lambda g: g.op("Sigmoid", g.qdq(g.x)), 17),  # nothing behind
        (lambda g: g.q(g.op("Transpose", g.qdq(g.x)), scale=0.2), 17),  # a move changes no scale
        (lambda g: g.q(g.op("Conv", g.qdq(g.x, "int8"), g.stored(2, 4, 3, 3, kind="uint8")), "int8"), 17),
        (lambda g: g.q(g.op("Erf", g.qdq(g.x))), 17),  # no pattern
        (lambda g: g.q(g.op("MaxPool", g.qdq(g.x), kernel_shape=[2, 2])), 22),  # of another version than 12
    ],
)
def test_other_patterns_are_no_groups(build, opset) -> None:
    g = Graph(opset=opset)
    assert not any(unit.is_group for unit in units(g, build(g)))


def test_a_result_that_leaves_the_group_as_float_breaks_it() -> None:
    g = Graph()
    y = g.op("Sigmoid", g.qdq(g.x))
    assert not any(unit.is_group for unit in units(g, g.q(y), y))


def test_a_matrix_product_may_end_in_floats_as_gemm_only() -> None:
    g = Graph(1, 4)
    x = g.qdq(g.x)
    found = units(g, g.op("Gemm", x, g.stored(4, 3)), g.op("MatMul", x, g.stored(4, 3)))
    assert [unit.is_group for unit in found if unit.target.op_type in {"Gemm", "MatMul"}] == [True, False]


def test_a_scale_that_is_fed_implies_nothing() -> None:
    g = Graph()
    y = g.op("Relu", g.op("Add", g.qdq(g.x), g.qdq(g.x)))
    scale = g.op("ReduceMax", g.x, keepdims=0)
    quantized = g.op("QuantizeLinear", y, scale, g.const(np.uint8(0)))
    assert all(not unit.implied for unit in units(g, quantized))
