"""Rows 37 and 48: shapes that are declared wrongly, and attributes and indices that make no sense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

BLIND = ("--ratio", "0.5", "--criterion", "magnitude", "--no-compensate")
COMMANDS = {
    "inspect": ("inspect", "m.onnx"),
    "coupling": ("inspect", "m.onnx", "--coupling"),
    "bench": ("bench", "m.onnx", "--batch", "1", "--rounds", "5"),
    "prune": ("prune", "m.onnx", "-o", "o.onnx", *BLIND),
    "quantize": ("quantize", "m.onnx", "-o", "o.onnx", "--calib", "d.npz"),
}
CONTRADICTS = "hint: the graph contradicts itself; export it again"
SHAPES = {
    "the output's size": ("g (float[4] x) => (float[5] y) { [n] y = Relu(x) }", "(4) vs (5)"),
    "the output's rank": (
        "g (float[4,3] x) => (float[4] y) { [n] y = Relu(x) }",
        "differ in rank: (2) vs (1)",
    ),
    "a value's size": (
        "g (float[2,3] x) => (float[2,3] y) <float[2,5] h> { [n] h = Relu(x)  y = Relu(h) }",
        "(3) vs (5)",
    ),
    "a product": (
        "g (float[2,3] x, float[4,5] z) => (float[N,M] y) { [n] y = MatMul(x, z) }",
        "Incompatible dimensions",
    ),
    "a computed size": (
        "g (float[2,3] x) => (float[7] y) <int64[1] s = {6}> { [n] y = Reshape(x, s) }",
        "(6) vs (7)",
    ),
}
NETS = {
    "Conv": (
        "g (float[N,4,8,8] x) => (float[N,a,b,c] y) { [c] h = Conv <%s> (x, w1)  [d] y = Conv (h, w2) }"
    ),
    "Gather": (
        "g (float[N,8] x) => (float[N,4] y) <int64[3] i = {0, 3, %s}> "
        "{ [m] h = MatMul(x, w1)  r = Relu(h)  [take] t = Gather <axis = 1> (r, i)  y = MatMul(t, w2) }"
    ),
}
WEIGHTS = {"Conv": ((8, 4, 3, 3), (2, 8, 1, 1)), "Gather": ((8, 16), (3, 4))}
INPUTS = {"Conv": (4, 8, 8), "Gather": (8,)}


@pytest.fixture
def net(write: Any, parse: Any, samples: Any) -> Any:
    """Write one of the networks with something in the place of its attribute or index, and samples for it."""

    def write_net(kind: str, given: object) -> None:
        random = np.random.default_rng(0)
        made = parse(NETS[kind] % given)
        for name, shape in zip(("w1", "w2"), WEIGHTS[kind], strict=True):
            weight = random.standard_normal(shape).astype(np.float32)
            made.graph.initializer.append(numpy_helper.from_array(weight, name))
        write(made)
        samples(x=random.standard_normal((4, *INPUTS[kind])).astype(np.float32))

    return write_net


@pytest.mark.row(37)
@pytest.mark.parametrize("case", SHAPES)
def test_a_wrong_declared_shape(refused: Any, write: Any, case: str) -> None:
    text, words = SHAPES[case]
    write(text)
    told = refused("inspect", "m.onnx", says="shape inference failed")
    assert words in told
    assert "node name: n" in told
    assert CONTRADICTS in told


@pytest.mark.row(37)
def test_no_command_takes_a_wrong_declared_shape(refused: Any, write: Any) -> None:
    write("g (float[4] x) => (float[5] y) { y = Relu(x) }")
    for verb in ("bench", "prune"):
        refused(*COMMANDS[verb], says="Inferred shape and existing shape differ")


@pytest.mark.row(48)
@pytest.mark.parametrize(("verb", "index"), [("bench", 16), ("bench", -17), ("quantize", 2**62)])
def test_an_index_out_of_range(refused: Any, net: Any, verb: str, index: int) -> None:
    net("Gather", index)
    told = refused(*COMMANDS[verb], cpu_s=20, says="Name:'take'")
    assert f"idx={index}" in told


@pytest.mark.row(48)
def test_nothing_is_cut_where_an_index_is_out_of_range(accepted: Any, refused: Any, net: Any) -> None:
    net("Gather", 99)
    assert "Gather: an index is out of range" in accepted(*COMMANDS["coupling"]).out
    refused(*COMMANDS["prune"], code=1, says="Gather: an index is out of range")


@pytest.mark.row(48)
@pytest.mark.parametrize(
    "given",
    ["strides = [0, 0]", "strides = [1, -1]", "dilations = [0, 0]", "pads = [-1, -1, -1, -1]", "pads = [1]"],
)
def test_a_convolution_without_sense(refused: Any, net: Any, given: str) -> None:
    net("Conv", given)
    told = refused("inspect", "m.onnx", says="node name: c")
    assert given.partition(" ")[0] in told
    assert CONTRADICTS in told


@pytest.mark.row(48)
@pytest.mark.parametrize("verb", COMMANDS)
def test_a_convolution_without_a_group(refused: Any, net: Any, verb: str) -> None:
    net("Conv", "group = 0")
    told = refused(*COMMANDS[verb], says="node 'c' has 0 groups: at least 1 is needed")
    assert "hint: the file is damaged or was written by a faulty tool; export the model again" in told


@pytest.mark.row(48)
@pytest.mark.parametrize("groups", [-1, -(2**63)])
def test_a_convolution_with_fewer_groups_than_none(refused: Any, net: Any, groups: int) -> None:
    net("Conv", f"group = {groups}")
    refused("inspect", "m.onnx", "--coupling", says=f"node 'c' has {groups} groups")


@pytest.mark.row(48)
@pytest.mark.parametrize("given", ["group = 3", "kernel_shape = [5, 5]"])
def test_a_convolution_that_does_not_fit_its_weight(
    accepted: Any, refused: Any, net: Any, given: str
) -> None:
    net("Conv", given)
    accepted(*COMMANDS["coupling"])
    refused(*COMMANDS["bench"], says="Name:'c'")


@pytest.mark.row(48)
@pytest.mark.parametrize("verb", COMMANDS)
def test_padding_by_a_billion(refused: Any, net: Any, verb: str) -> None:
    net("Conv", f"pads = [{', '.join(['1073741824'] * 4)}]")
    told = refused(*COMMANDS[verb], says="node 'c' yields 8x2147483654x2147483654 elements")
    assert "look at the node's attributes" in told


@pytest.mark.row(48)
def test_padding_by_what_a_number_cannot_hold(refused: Any, net: Any) -> None:
    net("Conv", f"pads = [{', '.join([str(2**62)] * 4)}]")
    assert "node name: c" in refused("inspect", "m.onnx", says="overflow")


@pytest.mark.row(48)
def test_padding_that_could_be_meant(refused: Any, net: Any) -> None:
    net("Conv", f"pads = [{', '.join([str(2**26)] * 4)}]")
    told = refused(*COMMANDS["coupling"], code=4, says="indices of axes, up to those of 'h': ")
    assert "--admit coupled_indices=NUMBER" in told
    assert "memory" in refused(*COMMANDS["bench"], code=4, says="while running Conv node")


@pytest.mark.row(48)
def test_more_parts_than_outputs(refused: Any, write: Any) -> None:
    write("g (float[N,4] x) => (float[N,4] y) { [s] y = Split <axis = 1, num_outputs = 1073741824> (x) }")
    refused("inspect", "m.onnx", says="node 's' splits into 1073741824, and has 1 outputs")
