"""NNAPI: every kind of condition, met and not met."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from sardonyx.deploy.nnapi import RULES
from usability_graphs import Graph, ask, group_reason, reason


def conv(g: Graph, *, group: int = 1, **attributes: object) -> ir.Value:
    return g.op("Conv", g.x, g.rand(4, 4 // group, 3, 3), g.rand(4), group=group, **attributes)


def pool(g: Graph, kind: str = "AveragePool", **attributes: object) -> ir.Value:
    return g.op(kind, g.x, **{"kernel_shape": [2, 2]} | attributes)


def resize(
    g: Graph, sizes: bool = False, scales: tuple[float, ...] = (1, 1, 2, 2), **attributes: object
) -> ir.Value:
    if sizes:
        return g.op("Resize", g.x, None, None, g.ints(1, 4, 16, 16), **attributes)
    return g.op("Resize", g.x, None, g.floats(scales), **attributes)


LINEAR = {"mode": "linear"}
FLOOR = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}

CASES = {
    "conv": (conv, ""),
    "conv, depthwise, dilated": (lambda g: conv(g, group=4, dilations=[2, 2]), ""),
    "conv, grouped, dilated": (lambda g: conv(g, group=2, dilations=[2, 2]), "group 2 with dilation"),
    "conv, grouped": (lambda g: conv(g, group=2), ""),
    "conv, open weights": (lambda g: g.op("Conv", g.x, g.op("Exp", g.x)), "weights not constant: v0"),
    "average": (pool, ""),
    "average with padding": (lambda g: pool(g, count_include_pad=1), "count_include_pad=1"),
    "ceiling": (lambda g: pool(g, ceil_mode=1), "ceil_mode=1"),
    "max, dilated": (lambda g: pool(g, "MaxPool", dilations=[2, 2]), "dilations=[2, 2]"),
    "max, column-major": (lambda g: pool(g, "MaxPool", storage_order=1), "storage_order=1"),
    "clip 0..6": (lambda g: g.clip(g.x, 0, 6), ""),
    "clip -1..1": (lambda g: g.clip(g.x, -1, 1), ""),
    "clip 0..1": (lambda g: g.clip(g.x, 0, 1), "bounds 0 and 1"),
    "clip, open": (lambda g: g.op("Clip", g.x, g.op("ReduceMean", g.x, keepdims=0)), "bounds not constant"),
    "to int64": (lambda g: g.op("Cast", g.x, to=7), "attribute to=7"),
    "to int32": (lambda g: g.op("Cast", g.x, to=6), ""),
    "three maxima": (lambda g: g.op("Max", g.x, g.x, g.x), "3 inputs"),
    "pow": (lambda g: g.op("Pow", g.x, g.floats(2.0)), ""),
    "pow of an integer": (lambda g: g.op("Pow", g.x, g.ints(2)), "type int64"),
    "CRD": (lambda g: g.op("DepthToSpace", g.x, blocksize=2, mode="CRD"), "mode=CRD"),
    "pad": (lambda g: g.pad(g.x, 0, 0, 1, 1, 0, 0, 1, 1), ""),
    "pad, negative": (lambda g: g.pad(g.x, 0, 0, -1, 0, 0, 0, 0, 0), "negative pads"),
    "pad, mirrored": (
        lambda g: g.op("Pad", g.x, g.ints(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect"),
        "mode=reflect",
    ),
    "even split": (lambda g: g.split(g.x, 2, 2)[0], ""),
    "uneven split": (lambda g: g.split(g.x, 1, 3)[0], "unequal parts"),
    "nearest": (lambda g: resize(g, **FLOOR), ""),
    "nearest, rounded": (lambda g: resize(g), "nearest_mode=round_prefer_floor"),
    "bilinear to sizes": (lambda g: resize(g, sizes=True, **LINEAR), ""),
    "bilinear, torch": (
        lambda g: resize(g, **LINEAR, coordinate_transformation_mode="pytorch_half_pixel"),
        "pytorch_half_pixel",
    ),
    "channels resized": (lambda g: resize(g, scales=(1, 2, 2, 2), **LINEAR), "batch or channels"),
    "transpose of 4": (lambda g: g.op("Transpose", g.x), ""),
    "erf": (lambda g: g.op("Erf", g.x), "operator not supported"),
    "sum over axes": (lambda g: g.op("ReduceSum", g.x), "operator not supported"),
    "reshape": (lambda g: g.op("Relu", g.op("Reshape", g.x, g.ints(1, -1))), ""),
    "reshape, to an open shape": (
        lambda g: g.op(
            "Reshape", g.x, g.op("Cast", g.op("ReduceMax", g.x, axes=[0, 1, 2], keepdims=0), to=7)
        ),
        "new shape not constant",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_condition(case) -> None:
    build, expected = CASES[case]
    found = reason("NNAPI", build)
    assert expected in found
    assert bool(found) == bool(expected)


@pytest.mark.parametrize(
    ("shape", "build", "expected"),
    [
        (("N", 4, 8, 8), conv, "dynamic shape at input x axis 0 (N)"),
        ((1, 4, "H", 8), pool, "dynamic shape at input x axis 2 (H)"),
        ((1, 4, 8, 8, 8), lambda g: g.op("Conv", g.x, g.rand(4, 4, 3, 3, 3)), "has rank 5, supported is 4"),
        ((1, 4, 8, 8, 8), lambda g: g.op("Add", g.x, g.x), "rank 5"),
        ((3, 4), lambda g: g.op("Gemm", g.x, g.rand(4, 2), g.rand(2)), ""),
        ((3, 4), lambda g: g.op("Gemm", g.x, g.rand(4, 2), g.rand(3, 1)), "bias of shape [3, 1]"),
        ((3, 4), lambda g: g.op("Gemm", g.x, g.rand(4, 2), alpha=0.5), "alpha=0.5"),
        ((3, 4), lambda g: g.op("Gemm", g.x, g.rand(3, 2), transA=1), "transA=1"),
        ((3, 4), lambda g: g.op("MatMul", g.x, g.rand(4, 2)), ""),
        ((2, 3, 4), lambda g: g.op("MatMul", g.x, g.rand(4, 2)), "ranks 3 and 2"),
        ((2, 3, 3), lambda g: g.op("MatMul", g.x, g.x), ""),
        ((3, 3), lambda g: g.op("MatMul", g.x, g.x), "weights not constant: x"),
        ((2, 3), lambda g: g.op("Reshape", g.x, g.ints(3, 2)), "a lone Reshape"),
    ],
)
def test_a_shape(shape, build, expected) -> None:
    found = reason("NNAPI", build, Graph(*shape))
    assert expected in found
    assert bool(found) == bool(expected)


def test_a_type() -> None:
    assert "type float16" in reason("NNAPI", lambda g: g.op("Relu", g.x), Graph(dtype=ir.DataType.FLOAT16))


def test_an_old_opset() -> None:
    graph = Graph(3, 4, opset=6)
    assert "opset too low" in reason("NNAPI", lambda g: g.op("Gemm", g.x, g.rand(4, 2), g.rand(2)), graph)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda g: g.op("Conv", g.x, g.stored(2, 4, 3, 3)), ""),
        (lambda g: g.op("Conv", g.x, g.stored(2, 4, 3, 3, channels=2)), ""),
        (lambda g: g.op("Conv", g.x, g.stored(2, 4, 3, 3, channels=4, axis=1)), "another axis than 0"),
        (lambda g: g.op("Conv", g.x, g.stored(2, 4, 3, 3, kind="uint8", channels=2)), "unsigned weights"),
        (lambda g: g.op("Add", g.x, g.qdq(g.op("Sigmoid", g.x))), ""),
        (lambda g: g.op("Sigmoid", g.x), "no integer kernel for Sigmoid between Q and DQ"),
        (lambda g: pool(g), ""),
        (lambda g: pool(g, "MaxPool"), "no integer kernel for MaxPool"),
        (lambda g: g.op("Softmax", g.x), "output scale other than 1/256"),
        (
            lambda g: g.op("MatMul", g.x, g.stored(8, 3, channels=3, axis=1)),
            "one scale a channel for a matrix",
        ),
    ],
)
def test_a_group(build, expected) -> None:
    found = group_reason("NNAPI", build)
    assert expected in found
    assert bool(found) == bool(expected)


def test_a_signed_group_has_no_kernel() -> None:
    found = group_reason("NNAPI", lambda g: g.op("Conv", g.x, g.stored(2, 4, 3, 3)), "int8")
    assert found.startswith("no integer kernel: type int8")


def test_nothing_is_taken_behind_a_stop() -> None:
    g = Graph(1, 5, 4)
    scores = g.op("Transpose", g.op("ReduceMean", g.x, axes=[2], keepdims=1), perm=[0, 2, 1])
    kept = g.op("NonMaxSuppression", g.x, scores, g.ints(3))
    answer = ask(g, g.op("Relu", g.op("Cast", kept, to=1)))["NNAPI"]
    assert [p.partition for p in answer.places] == [0, 0, None, None, None]
    assert all("NNAPI stops" in p.reason for p in answer.places[2:])


def test_every_rule_says_where_it_is_from() -> None:
    assert all(rule.source.endswith(".cc") for rule in RULES.values())
