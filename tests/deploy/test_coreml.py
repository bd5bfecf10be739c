"""CoreML in both forms: every kind of condition, met and not met."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx.deploy.coreml import ML_PROGRAM_RULES, NEURAL_NETWORK_RULES
from usability_graphs import Graph, ask, reason

NETWORK, PROGRAM = "CoreML NeuralNetwork", "CoreML MLProgram"


def conv(g: Graph, **attributes: object) -> ir.Value:
    return g.op("Conv", g.x, g.rand(4, 4, 3, 3), g.rand(4), **attributes)


def transposed(g: Graph, **attributes: object) -> ir.Value:
    return g.op("ConvTranspose", g.x, g.rand(4, 2, 2, 2), strides=[2, 2], **attributes)


def pool(g: Graph, kind: str = "MaxPool", **attributes: object) -> ir.Value:
    return g.op(kind, g.x, **{"kernel_shape": [2, 2]} | attributes)


def resize(g: Graph, **attributes: object) -> ir.Value:
    return g.op("Resize", g.x, None, g.floats((1, 1, 2, 2)), **attributes)


def gather(g: Graph, *indices: int) -> ir.Value:
    return g.op("Gather", g.x, g.const(np.array(indices if len(indices) > 1 else indices[0])), axis=1)


FLOOR = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
ABSENT = "operator not supported"

CASES = {
    "conv": (conv, "", ""),
    "open weights": (lambda g: g.op("Conv", g.x, g.op("Exp", g.x)), "weights not constant", ""),
    "open bias": (
        lambda g: g.op("Conv", g.x, g.rand(8, 4, 1, 1), g.op("ReduceMean", g.x, axes=[0, 1, 2], keepdims=0)),
        "bias not constant",
        "bias not constant",
    ),
    "transposed": (transposed, ABSENT, ""),
    "transposed, same": (lambda g: transposed(g, auto_pad="SAME_UPPER"), ABSENT, "auto_pad=SAME_UPPER"),
    "transposed, padded behind": (lambda g: transposed(g, output_padding=[1, 1]), ABSENT, "output_padding"),
    "transposed, given size": (lambda g: transposed(g, output_shape=[16, 16]), ABSENT, "output_shape"),
    "pool": (pool, "", ""),
    "ceiling": (lambda g: pool(g, ceil_mode=1), "ceil_mode=1", ""),
    "dilated": (lambda g: pool(g, dilations=[2, 2]), "dilations", "dilations"),
    "DCR": (lambda g: g.op("DepthToSpace", g.x, blocksize=2), "", ""),
    "CRD": (lambda g: g.op("DepthToSpace", g.x, blocksize=2, mode="CRD"), "mode=CRD", ""),
    "flatten": (lambda g: g.op("Flatten", g.x), "", ABSENT),
    "gather": (lambda g: gather(g, 0, 1), "", ABSENT),
    "gather one": (lambda g: gather(g, 1), "indices are a scalar", ABSENT),
    "erf": (lambda g: g.op("Erf", g.x), ABSENT, ""),
    "layer norm": (lambda g: g.op("LayerNormalization", g.x, g.rand(8), axis=-1), ABSENT, ""),
    "mean": (lambda g: g.mean(g.x, 2, 3), ABSENT, ""),
    "sum": (lambda g: g.op("ReduceSum", g.x, g.ints(2)), "", ""),
    "arg max": (lambda g: g.op("ArgMax", g.x), "", ""),
    "pad": (lambda g: g.pad(g.x, 0, 0, 1, 1, 0, 0, 1, 1), "", ABSENT),
    "pad channels": (lambda g: g.pad(g.x, 0, 1, 1, 1, 0, 0, 1, 1), "other dimensions", ABSENT),
    "slope a channel": (lambda g: g.op("PRelu", g.x, g.rand(4, 1, 1)), "", ""),
    "slope an element": (lambda g: g.op("PRelu", g.x, g.rand(4, 8, 8)), "slope", ""),
    "nearest": (lambda g: resize(g, **FLOOR), "", ""),
    "half pixel": (lambda g: resize(g, mode="linear"), "coordinate_transformation_mode=half_pixel", ""),
    "cubic": (
        lambda g: resize(g, mode="cubic", coordinate_transformation_mode="asymmetric"),
        "mode=cubic",
        "mode=cubic",
    ),
    "pow of an integer": (lambda g: g.op("Pow", g.x, g.ints(2)), "type int64", "type int64"),
    "tile": (lambda g: g.op("Tile", g.x, g.ints(1, 1, 2, 1)), ABSENT, ""),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("provider", "column"), [(NETWORK, 1), (PROGRAM, 2)])
def test_a_condition(case, provider, column) -> None:
    found, expected = reason(provider, CASES[case][0]), CASES[case][column]
    assert expected in found
    assert bool(found) == bool(expected)


@pytest.mark.parametrize(
    ("shape", "build", "network", "program"),
    [
        ((2, 3, 4), lambda g: g.op("MatMul", g.x, g.rand(4, 2)), "rank 3, supported is 2", ""),
        ((3, 3), lambda g: g.op("MatMul", g.x, g.x), "weights not constant", ""),
        ((3, 4), lambda g: g.op("Gemm", g.x, g.rand(4, 2), g.rand(2)), "", ""),
        ((3, 4), lambda g: g.op("Gemm", g.x, g.rand(4, 2), beta=2.0), "beta=2.0", "beta=2.0"),
        ((1, 20000), lambda g: g.op("Relu", g.x), "beyond 16384", "beyond 16384"),
        ((1, 2, 2, 2, 2, 2), lambda g: g.op("Relu", g.x), "rank 6", "rank 6"),
        ((0, 4), lambda g: g.op("Relu", g.x), "input x is empty", "input x is empty"),
        (("N", 4, 8, 8), conv, "", ""),
        (("N", 4), lambda g: g.op("Shape", g.x), "", ""),
        (("N", 4), lambda g: g.op("Shape", g.x, end=1), "attribute end", ""),
        (("N", 4), lambda g: g.op("Shape", g.x, start=-2), "start=-2", ""),
    ],
)
def test_a_shape(shape, build, network, program) -> None:
    graph = Graph(*shape)
    answers = ask(graph, build(graph))
    for provider, expected in ((NETWORK, network), (PROGRAM, program)):
        found = answers[provider].places[-1].reason
        assert expected in found
        assert bool(found) == bool(expected)


def test_half_precision_is_of_programs() -> None:
    graph = Graph(dtype=ir.DataType.FLOAT16)
    answers = ask(graph, graph.op("Relu", graph.x))
    assert answers[NETWORK].places[0].reason == "type float16 of input x is not supported"
    assert answers[PROGRAM].taken == 1


def test_truth_values_are_for_two() -> None:
    build = lambda g: g.op("And", *(g.op("Cast", x, to=9) for x in (g.x, g.x)))
    assert reason(PROGRAM, build) == ""
    assert reason(NETWORK, build) == ABSENT


def test_free_dimensions_are_taken_with_a_note() -> None:
    graph = Graph("N", 4, 8, 8)
    answer = ask(graph, conv(graph))[NETWORK]
    assert answer.taken == 1
    assert answer.notes == ("1 nodes are taken with free dimensions, which costs time; fix the shapes",)
    assert answer.verdict == "perhaps: 1 partition with 100% of the work; fix the shapes first"


@pytest.mark.parametrize("provider", [NETWORK, PROGRAM])
def test_quantization_breaks_partitions(provider) -> None:
    g = Graph()
    x = g.op("Relu", g.qdq(g.op("Relu", g.x)))
    answer = ask(g, x)[provider]
    assert [p.partition for p in answer.places] == [0, None, None, 1]
    assert {left.reason for left in answer.left} == {
        "no integer kernels: CoreML takes neither QuantizeLinear nor DequantizeLinear"
    }


def test_what_a_list_says_and_no_condition_asks_is_a_note() -> None:
    note = ask(graph := Graph(), resize(graph, mode="linear"))[PROGRAM].notes[0]
    assert note.startswith(
        "not checked, ONNX Runtime's list says of ai.onnx:Resize: See [resize_op_builder.cc]"
    )


def test_every_rule_says_where_it_is_from() -> None:
    rules = (*NEURAL_NETWORK_RULES.values(), *ML_PROGRAM_RULES.values())
    assert all(rule.source.endswith(".cc") for rule in rules)
