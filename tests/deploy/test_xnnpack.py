"""XNNPACK: every kind of condition, met and not met."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx.deploy.xnnpack import RULES
from usability_graphs import Graph, ask, group_reason, reason


def conv(g: Graph, kind: str = "Conv", **attributes: object) -> ir.Value:
    return g.op(kind, g.x, g.rand(4, 4, 3, 3), g.rand(4), **attributes)


def pool(g: Graph, kind: str = "MaxPool", **attributes: object) -> ir.Value:
    return g.op(kind, g.x, **{"kernel_shape": [2, 2]} | attributes)


def resize(g: Graph, *scales: float, **attributes: object) -> ir.Value:
    return g.op("Resize", g.x, None, g.floats(scales or (1, 1, 2, 2)), **{"mode": "linear"} | attributes)


CASES = {
    "conv": (conv, ""),
    "conv, grouped": (lambda g: g.op("Conv", g.x, g.rand(4, 2, 3, 3), group=2), ""),
    "conv, same": (lambda g: conv(g, auto_pad="SAME_UPPER"), ""),
    "conv, same below": (lambda g: conv(g, auto_pad="SAME_LOWER"), "auto_pad=SAME_LOWER"),
    "conv, open weights": (lambda g: g.op("Conv", g.x, g.op("Exp", g.x)), "weights not constant"),
    "transposed": (lambda g: conv(g, "ConvTranspose"), ""),
    "max": (pool, ""),
    "max, ceiling": (lambda g: pool(g, ceil_mode=1), "ceil_mode=1"),
    "max of one": (lambda g: pool(g, kernel_shape=[1, 1]), "1 x 1"),
    "average": (lambda g: pool(g, "AveragePool"), ""),
    "average with padding": (lambda g: pool(g, "AveragePool", count_include_pad=1), "count_include_pad=1"),
    "global average": (lambda g: g.op("GlobalAveragePool", g.x), "operator not supported"),
    "softmax": (lambda g: g.op("Softmax", g.x), ""),
    "softmax over channels": (lambda g: g.op("Softmax", g.x, axis=1), "axis=1"),
    "bilinear": (resize, ""),
    "bilinear, half": (lambda g: resize(g, 1, 1, 0.5, 0.5), ""),
    "bilinear, three quarters": (lambda g: resize(g, 1, 1, 0.75, 1), "scales below 1"),
    "nearest": (lambda g: resize(g, mode="nearest"), "mode=nearest"),
    "torch": (lambda g: resize(g, coordinate_transformation_mode="pytorch_half_pixel"), ""),
    "tf": (
        lambda g: resize(g, coordinate_transformation_mode="tf_crop_and_resize"),
        "tf_crop_and_resize",
    ),
    "channels": (lambda g: resize(g, 1, 2, 2, 2), "batch or channels"),
    "add": (lambda g: g.op("Add", g.x, g.x), "operator not supported"),
    "relu alone": (lambda g: g.op("Relu", g.x), "no kernel of its own"),
    "relu behind": (lambda g: g.op("Relu", conv(g)), ""),
    "clip behind": (lambda g: g.clip(pool(g), 0, 6), ""),
    "relu behind softmax": (lambda g: g.op("Relu", g.op("Softmax", g.x)), "no kernel of its own"),
    "open clip": (
        lambda g: g.op("Clip", conv(g), g.op("ReduceMean", g.x, keepdims=0)),
        "bounds not constant",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_condition(case) -> None:
    build, expected = CASES[case]
    found = reason("XNNPACK", build)
    assert expected in found
    assert bool(found) == bool(expected)


@pytest.mark.parametrize(
    ("shape", "build", "expected"),
    [
        (("N", 4, 8, 8), conv, ""),
        ((1, 4, "H", 8), conv, "dynamic shape at input x axis 2 (H)"),
        ((1, 4, 8), lambda g: g.op("Conv", g.x, g.rand(4, 4, 3)), "rank 3, supported is 4"),
        ((3, 4), lambda g: g.op("Gemm", g.x, g.rand(4, 2), g.rand(2)), ""),
        ((3, 4), lambda g: g.op("Gemm", g.x, g.rand(4, 2)), "bias not given"),
        ((3, 4), lambda g: g.op("Gemm", g.x, g.rand(4, 2), g.rand(1, 2)), "bias is no vector"),
        ((3, 4), lambda g: g.op("Gemm", g.x, g.rand(4, 2), g.rand(2), alpha=2.0), "alpha=2.0"),
        ((3, 4), lambda g: g.op("MatMul", g.x, g.rand(4, 2)), ""),
        (("N", 4), lambda g: g.op("MatMul", g.x, g.rand(4, 2)), "dynamic shape at input x axis 0"),
        ((2, 3, 4), lambda g: g.op("MatMul", g.x, g.rand(4, 2)), "rank 3, supported is 1 to 2 (3 from"),
    ],
)
def test_a_shape(shape, build, expected) -> None:
    found = reason("XNNPACK", build, Graph(*shape))
    assert expected in found
    assert bool(found) == bool(expected)


def test_an_activation_does_not_join_what_others_read_too() -> None:
    g = Graph()
    y = conv(g)
    answer = ask(g, g.op("Relu", y), g.op("Softmax", y))["XNNPACK"]
    assert answer.places[1].reason == "cannot join the Conv before it, whose result others read too"


@pytest.mark.parametrize(
    ("kind", "build", "expected"),
    [
        ("int8", lambda g: g.op("Conv", g.x, g.stored(2, 4, 3, 3)), ""),
        ("int8", lambda g: g.op("Conv", g.x, g.stored(2, 4, 3, 3, channels=2)), ""),
        ("uint8", lambda g: g.op("Conv", g.x, g.stored(2, 4, 3, 3, kind="uint8")), ""),
        ("uint8", lambda g: g.op("Conv", g.x, g.stored(2, 4, 3, 3)), "uint8 with int8 weights"),
        (
            "int8",
            lambda g: g.op("ConvTranspose", g.x, g.stored(4, 2, 3, 3, channels=4)),
            "one scale a channel for",
        ),
        ("uint8", pool, ""),
        ("int8", pool, ""),
        ("int8", lambda g: pool(g, "AveragePool", count_include_pad=1), "no integer kernel: type int8"),
        ("uint8", lambda g: pool(g, "AveragePool", count_include_pad=1), ""),
        ("uint8", lambda g: pool(g, "AveragePool"), "count_include_pad=0"),
        ("uint8", lambda g: g.op("Softmax", g.x), "1/256"),
        ("uint8", lambda g: g.op("Gemm", g.op("Flatten", g.x), g.stored(256, 3)), "weights not constant"),
    ],
)
def test_a_group(kind, build, expected) -> None:
    found = group_reason("XNNPACK", build, kind)
    assert expected in found
    assert bool(found) == bool(expected)


def test_a_quantized_softmax_in_the_form_of_the_kernel() -> None:
    g = Graph()
    y = g.qdq(g.op("Softmax", g.qdq(g.x)), scale=1 / 256)
    assert [p.op for p in ask(g, y)["XNNPACK"].places if p.partition is not None] == [
        "DequantizeLinear",
        "Softmax",
        "QuantizeLinear",
    ]


def test_more_partitions_do_not_count_against_it() -> None:
    g = Graph()
    answer = ask(g, conv_chain(g))["XNNPACK"]
    assert answer.partitions == 3
    assert answer.verdict == "likely: 3 partitions with 100% of the work"


def conv_chain(g: Graph) -> ir.Value:
    y = conv(g)
    for _ in range(2):
        y = g.op("Conv", g.op("Sigmoid", y), g.rand(4, 4, 1, 1))
    return y


@pytest.mark.parametrize("name", ["QLinearAveragePool", "QLinearSoftmax"])
def test_the_page_is_not_believed_where_the_source_differs(name) -> None:
    g = Graph()
    y = ir.node(name, [g.x], domain="com.microsoft", name="last").outputs[0]
    y.name, y.dtype, y.shape = "y", ir.DataType.FLOAT, ir.Shape([1, 4, 8, 8])
    g.nodes.append(y.producer())
    found = ask(g, y)["XNNPACK"].left[0]
    assert found.reason == "on the documentation's list, but the source looks at standard operators only"


def test_every_rule_says_where_it_is_from() -> None:
    assert all(rule.source.endswith(".cc") for rule in RULES.values())
    assert np.all([bool(rule.conditions or rule.joins) for rule in RULES.values()])
