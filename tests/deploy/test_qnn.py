"""QNN: every kind of condition, met and not met."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx.deploy.qnn import RULES
from usability_graphs import Graph, ask, group_reason, reason


def conv(g: Graph, kind: str = "Conv", **attributes: object) -> ir.Value:
    return g.op(kind, g.x, g.stored(4, 4, 3, 3, channels=4), **attributes)


def pool(g: Graph, **attributes: object) -> ir.Value:
    return g.op("MaxPool", g.x, **{"kernel_shape": [2, 2]} | attributes)


CASES = {
    "conv": (conv, ""),
    "conv, valid": (lambda g: conv(g, auto_pad="VALID"), ""),
    "transposed": (lambda g: conv(g, "ConvTranspose"), ""),
    "transposed, dilated": (lambda g: conv(g, "ConvTranspose", dilations=[2, 2]), "dilations=[2, 2]"),
    "max": (pool, ""),
    "max, dilated": (lambda g: pool(g, dilations=[2, 2]), "dilations"),
    "matrix product": (lambda g: g.op("MatMul", g.x, g.stored(8, 3, kind="uint8")), ""),
    "signed weights": (lambda g: g.op("MatMul", g.x, g.stored(8, 3)), ""),
    "normalization": (
        lambda g: g.op("LayerNormalization", g.x, g.stored(8, kind="uint8"), axis=-1),
        "",
    ),
    "normalization, signed": (
        lambda g: g.op("LayerNormalization", g.x, g.stored(8), axis=-1),
        "no integer kernel: type int8",
    ),
    "normalization of maps": (
        lambda g: g.op("LayerNormalization", g.x, g.stored(8, 8, kind="uint8"), axis=2),
        "axis=2",
    ),
    "the largest": (lambda g: g.ops("TopK", g.x, g.ints(2), outputs=2)[0], ""),
    "choice": (
        lambda g: g.op(
            "Where", g.op("Greater", g.x, g.qdq(g.op("Sigmoid", g.x))), g.x, g.qdq(g.op("Tanh", g.x))
        ),
        "",
    ),
    "product": (lambda g: g.op("ReduceProd", g.x), "the QNN SDK refuses it"),
    "scale a channel": (
        lambda g: g.op("MatMul", g.x, g.stored(8, 3, kind="uint8", channels=3, axis=1)),
        "one scale a channel for a matrix product",
    ),
    "sigmoid": (lambda g: g.op("Sigmoid", g.x), ""),
    "clip": (lambda g: g.clip(g.x, 0.05, 1), ""),
    "negative index": (lambda g: g.op("Gather", g.x, g.ints(-1), axis=1), "negative indices"),
    "index": (lambda g: g.op("Gather", g.x, g.ints(1), axis=1), ""),
    "mean": (lambda g: g.mean(g.x, 2, 3), ""),
    "global maximum": (lambda g: g.op("GlobalMaxPool", g.x), "not on the documentation's list"),
    "relu, without fraction": (lambda g: g.op("LeakyRelu", g.x), ""),
}


@pytest.mark.parametrize("case", CASES)
def test_a_group(case) -> None:
    build, expected = CASES[case]
    found = group_reason("QNN", build)
    assert expected in found
    assert bool(found) == bool(expected)


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_unsigned_types_are_taken(kind) -> None:
    graph = Graph(opset=21)
    assert group_reason("QNN", lambda g: g.op("Sigmoid", g.x), kind, graph) == ""


@pytest.mark.parametrize("kind", ["int8", "int16"])
def test_signed_types_are_not(kind) -> None:
    graph = Graph(opset=21)
    found = group_reason("QNN", lambda g: g.op("Sigmoid", g.x), kind, graph)
    assert found.startswith(f"no integer kernel: type {kind}")


def test_a_matrix_product_that_ends_in_floats_is_not() -> None:
    g = Graph(2, 4)
    y = g.op("Gemm", g.qdq(g.x), g.stored(4, 3))
    assert ask(g, y)["QNN"].places[-1].reason == "no integer kernel: the result is not quantized"


@pytest.mark.parametrize("op", ["LRN", "PRelu"])
def test_some_are_taken_in_8_bits_only(op) -> None:
    def build(g: Graph) -> ir.Value:
        return g.op(op, g.x, g.stored(4, 1, 1, kind="uint16")) if op == "PRelu" else g.op(op, g.x, size=3)

    found = group_reason("QNN", build, "uint16", Graph(opset=21))
    assert found == "no integer kernel: type uint16 of input v0 is not supported"


@pytest.mark.parametrize(
    ("shape", "build", "expected"),
    [
        ((1, 4), lambda g: g.op("Relu", g.x), "not quantized"),
        (
            ("N", 4),
            lambda g: g.op("Relu", g.x),
            "run floats, in 16 bits; dynamic shape",
        ),
        ((1, 4), lambda g: g.op("Erf", g.x), "operator not supported"),
        (
            (1, 4),
            lambda g: g.op(
                "LSTM", g.op("Unsqueeze", g.x, g.ints(0)), g.rand(1, 8, 4), g.rand(1, 8, 2), hidden_size=2
            ),
            "newer releases",
        ),
    ],
)
def test_a_float_is_not_taken(shape, build, expected) -> None:
    assert expected in reason("QNN", build, Graph(*shape))


@pytest.mark.parametrize(("kind", "is_taken"), [(ir.DataType.INT32, True), (ir.DataType.INT64, False)])
def test_integers_of_32_bits_are_taken(kind, is_taken) -> None:
    graph = Graph(1, 4, dtype=kind)
    found = reason("QNN", lambda g: g.op("Add", g.x, g.const(np.ones(4, kind.numpy()))), graph)
    assert (found == "") == is_taken


def test_an_activation_of_integers_wants_a_group() -> None:
    graph = Graph(1, 4, dtype=ir.DataType.INT32)
    assert reason("QNN", lambda g: g.op("Relu", g.x), graph) == "Relu is taken between Q and DQ only"


def test_a_lone_edge_is_not_taken() -> None:
    g = Graph()
    answer = ask(g, g.op("Erf", g.qdq(g.op("Erf", g.x))))["QNN"]
    assert answer.partitions == 1  # both edges in one
    g = Graph()
    answer = ask(g, g.q(g.op("Erf", g.x)))["QNN"]
    assert answer.places[-1].reason == "a lone QuantizeLinear is not taken"
    assert answer.partitions == 0


def test_every_rule_says_where_it_is_from() -> None:
    assert all(rule.source.endswith((".cc", ".md")) for rule in RULES.values())
