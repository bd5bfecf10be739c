"""Rows 26 to 33, 35, 36, 38 to 42 and 44: graphs that are no graph, and graphs that are one against all appearance."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

DAMAGED = "the file is damaged or was written by a faulty tool; export the model again"
BENCH = ("bench", "m.onnx", "--batch", "1", "--rounds", "5")
BLIND = ("--ratio", "0.5", "--criterion", "magnitude", "--no-compensate")
COMMANDS = {
    "inspect": ("inspect", "m.onnx"),
    "bench": BENCH,
    "prune": ("prune", "m.onnx", "-o", "o.onnx", *BLIND),
    "quantize": ("quantize", "m.onnx", "-o", "o.onnx", "--precision", "dynamic"),
}
IF = """g (bool c, float[4] x) => (float[4] y) {
    [choose] %s = If (c) <then_branch = t () => (float[4] a) { [inner] a = Relu(%s) },
                          else_branch = e () => (float[4] b) { b = Abs(x) }>
    %s
}"""
NET = "g (float[N,8] x) => (float[N,4] y) { [m1] h = MatMul(x, w1)  [r] r = Relu(h)  [m2] s = MatMul(r, w2)  %s }"
CALL = "g (float[4] x) => (float[4] y) { y = d.f0(x) }\n"
FUNCTION = '<opset_import: ["" : 18, "d" : 1], domain: "d"> f%d (a) => (b) { %s }\n'


@pytest.fixture
def net(write: Any, parse: Any, samples: Any) -> Any:
    """Write two layers that can be cut, with something behind them, and samples for it."""

    def write_net(end: str) -> None:
        random = np.random.default_rng(0)
        made = parse(NET % end)
        for name, shape in (("w1", (8, 32)), ("w2", (32, 4))):
            weight = random.standard_normal(shape).astype(np.float32)
            made.graph.initializer.append(numpy_helper.from_array(weight, name))
        write(made)
        samples(x=random.standard_normal((16, 8)).astype(np.float32))

    return write_net


def chain(parse: Any, count: int, step: int = 1) -> onnx.ModelProto:
    """As many nodes one behind the other, in their order or against it."""
    made = parse("g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }")
    names = ["x", *(f"t{i}" for i in range(count - 1)), "y"]
    del made.graph.node[:]
    nodes = [helper.make_node("Relu", [a], [b]) for a, b in itertools.pairwise(names)]
    made.graph.node.extend(nodes[::step])
    return made


CYCLES = {
    "two nodes": ("[n1] a = Add(x, b)  [n2] b = Relu(a)  y = Relu(b)", ("node 'n1'", "node 'n2'")),
    "itself": ("[n1] a = Add(x, a)  y = Relu(a)", ("node 'n1' -> node 'n1'",)),
    "unnamed": (
        "a = Add(x, b)  b = Relu(a)  y = Relu(b)",
        ("Add node that makes a", "Relu node that makes b"),
    ),
}


@pytest.mark.row(26)
@pytest.mark.parametrize("case", CYCLES)
def test_a_cycle_is_printed(refused: Any, write: Any, case: str) -> None:
    body, shown = CYCLES[case]
    write(f"g (float[4] x) => (float[4] y) {{ {body} }}")
    told = refused("inspect", "m.onnx", says="the graph has a cycle: ")
    assert DAMAGED in told
    assert all(words in told for words in shown)


@pytest.mark.row(26)
@pytest.mark.parametrize("verb", ["bench", "prune"])
def test_a_cycle_through_a_branch(refused: Any, write: Any, verb: str) -> None:
    write(IF % ("y", "z", "[behind] z = Relu(y)"))
    told = refused(*COMMANDS[verb], says="the graph has a cycle: ")
    assert "node 'choose'" in told
    assert "node 'behind'" in told


@pytest.mark.row(26)
def test_a_long_cycle_is_cut(refused: Any, write: Any, parse: Any) -> None:
    made = chain(parse, 5000)
    made.graph.node[0].input[0] = "y"
    write(made)
    told = refused("inspect", "m.onnx", says="the graph has a cycle: ")
    assert told.count("->") == 6


@pytest.mark.row(27)
@pytest.mark.parametrize("verb", ["inspect", "quantize"])
def test_nodes_out_of_order_are_sorted_and_noted(accepted: Any, net: Any, verb: str) -> None:
    net("y = Relu(a)  a = Neg(s)")
    outcome = accepted(*COMMANDS[verb])
    assert "the nodes of the graph were out of order and were sorted" in outcome.out + outcome.err


@pytest.mark.row(27)
def test_what_is_written_is_in_order(accepted: Any, write: Any, net: Any, place: Any) -> None:
    net("y = Identity(s)")
    made = onnx.load(place / "m.onnx")
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in made.graph.node]
    del made.graph.node[:]
    made.graph.node.extend(nodes[::-1])
    write(made)
    accepted("prune", "m.onnx", "-o", "o.onnx", *BLIND)
    written = onnx.load(place / "o.onnx")
    onnx.checker.check_model(written, full_check=True)
    assert "MatMul" in {node.op_type for node in written.graph.node}


TWICE = {
    "two nodes": ("[n1] y = Relu(x)  [n2] y = Sigmoid(x)", "'y' of the graph is made twice"),
    "one node": ("y, y = Split <axis = 0, num_outputs = 2> (x)", "'y' of the graph is made twice"),
    "an input": ("x = Relu(x)  y = Relu(x)", "'x' of the graph is made twice"),
    "a weight": ("w = Relu(x)  y = Relu(w)", "'w' of the graph is made twice"),
}


@pytest.mark.row(28)
@pytest.mark.parametrize("case", TWICE)
def test_an_output_written_twice(refused: Any, write: Any, case: str) -> None:
    body, words = TWICE[case]
    write(f"g (float[4] x) => (float[4] y) <float[4] w = {{0, 1, 2, 3}}> {{ {body} }}")
    assert DAMAGED in refused("inspect", "m.onnx", says=words)


@pytest.mark.row(28)
def test_no_command_takes_an_output_that_is_written_twice(refused: Any, write: Any) -> None:
    write("g (float[4] x) => (float[4] y) { y = Relu(x)  y = Sigmoid(x) }")
    for verb in ("bench", "prune"):
        refused(*COMMANDS[verb], says="is made twice")


@pytest.mark.row(29)
def test_nodes_of_one_name_are_renamed_and_noted(accepted: Any, write: Any) -> None:
    write("g (float[N,4] x) => (float[N,4] y) { [n] a = Relu(x)  [n_1] b = Abs(a)  [n] y = Neg(b) }")
    shown = json.loads(accepted("inspect", "m.onnx", "--json").out)
    assert shown["notes"] == ["1 nodes shared a name with another and were renamed"]
    accepted(*BENCH)  # ONNX Runtime itself refuses such a model


@pytest.mark.row(29)
def test_nodes_of_one_name_in_two_branches(accepted: Any, write: Any) -> None:
    write((IF % ("y", "x", "")).replace("b = Abs", "[inner] b = Abs"))
    assert "1 nodes shared a name" in accepted("inspect", "m.onnx").out


@pytest.mark.row(30)
@pytest.mark.parametrize("verb", ["inspect", "quantize"])
def test_two_weights_of_one_name(refused: Any, write: Any, parse: Any, verb: str) -> None:
    made = parse()
    made.graph.initializer.append(numpy_helper.from_array(np.ones(4, np.float32), "w"))
    write(made)
    assert DAMAGED in refused(*COMMANDS[verb], says="initializer 'w' of the graph is there twice")


@pytest.mark.row(30)
def test_a_sparse_weight_of_the_name_of_another(refused: Any, write: Any, parse: Any) -> None:
    made = parse()
    made.graph.sparse_initializer.append(sparse("w"))
    write(made)
    refused("inspect", "m.onnx", says="initializer 'w' of the graph is there twice")


LOOSE = {
    "of a node": ("g (float[4] x) => (float[4] y) { [sum] y = Add(x, zz) }", "node 'sum' takes it"),
    "in a branch": (IF % ("y", "zz", ""), "node 'inner' takes it"),
    "of another branch": (
        (IF % ("y", "x", "")).replace("Abs(x)", "Abs(a)"),
        "Abs node that makes b takes it",
    ),
    "in a function": (CALL + FUNCTION % (0, "[sum] b = Add(a, zz)"), "nothing in function 'f0' makes it"),
}


@pytest.mark.row(31)
@pytest.mark.parametrize("case", LOOSE)
def test_an_input_that_nothing_writes(refused: Any, write: Any, case: str) -> None:
    text, words = LOOSE[case]
    write(text)
    told = refused("inspect", "m.onnx", says="is not produced")
    assert words in told
    assert DAMAGED in told


@pytest.mark.row(31)
def test_no_command_takes_an_input_that_nothing_writes(refused: Any, write: Any) -> None:
    write("g (float[4] x) => (float[4] y) { y = Add(x, zz) }")
    for verb in ("bench", "prune"):
        refused(*COMMANDS[verb], says="value 'zz' is not produced")


@pytest.mark.row(32)
@pytest.mark.parametrize("verb", ["inspect", "bench"])
def test_an_unknown_operator(refused: Any, net: Any, verb: str) -> None:
    net("[own] y = Frobnicate(s)")
    told = refused(
        *COMMANDS[verb], says="the onnx checker refuses the model: No Op registered for Frobnicate"
    )
    assert "own" in told
    assert "hint: export the model again with a supported opset" in told


@pytest.mark.row(32)
@pytest.mark.parametrize("verb", ["bench", "prune"])
def test_an_unknown_operator_of_the_runtime(refused: Any, net: Any, verb: str) -> None:
    net("[own] y = com.microsoft.Frobnicate(s)")
    assert "Frobnicate" in refused(*COMMANDS[verb], says="ONNX Runtime refuses")


@pytest.mark.row(33)
def test_inspect_shows_an_operator_of_an_unknown_domain(accepted: Any, net: Any) -> None:
    net("[own] y = d.Own(s)")
    shown = json.loads(accepted("inspect", "m.onnx", "--coupling", "--json").out)
    assert shown["operators"]["d.Own"] == 1
    assert shown["notes"] == ["operators of domain 'd' need a library to run: Own"]
    frozen = {group["name"]: group["reason"] for group in shown["groups"]}
    assert frozen["w2"] == "Own: no rule for this operator"


@pytest.mark.row(33)
def test_prune_leaves_what_meets_an_operator_of_an_unknown_domain(accepted: Any, net: Any) -> None:
    net("[own] y = d.Own(s)")
    shown = json.loads(accepted("prune", "m.onnx", *BLIND, "--explain", "--json").out)
    assert [(group["name"], group["width_after"]) for group in shown["report"]["plan"]] == [("w1#2", 16)]


RUNS = {
    "bench": BENCH,
    "prune": ("prune", "m.onnx", "-o", "o.onnx", *BLIND),
    "quantize": ("quantize", "m.onnx", "-o", "o.onnx", "--calib", "d.npz"),
    "compare": ("compare", "m.onnx", "--data", "d.npz", "--metric", "cosine"),
}


@pytest.mark.row(33)
@pytest.mark.parametrize("verb", RUNS)
def test_an_operator_of_an_unknown_domain_is_not_run(refused: Any, net: Any, verb: str) -> None:
    net("[own] y = d.Own(s)")
    told = refused(*RUNS[verb], says="node 'own' is d::Own, an operator of a custom library")
    assert "export without custom operators; libraries are native code and are not loaded" in told


@pytest.mark.row(33)
def test_an_operator_without_a_name_is_told_by_what_it_makes(refused: Any, net: Any) -> None:
    net("y = d.Own(s)")
    refused(*BENCH, says="the node that makes 'y' is d::Own")


RANGE = f"is not supported, the range is 1 to {onnx.defs.onnx_opset_version()}"
VERSIONS = {
    "opset 999": ({"": 999}, 9, f"opset 999 {RANGE}"),
    "opset 0": ({"": 0}, 9, f"opset 0 {RANGE}"),
    "opset below zero": ({"ai.onnx": -(2**63)}, 9, RANGE),
    "no opset": ({}, 9, f"the model states no opset, supported are 1 to {onnx.defs.onnx_opset_version()}"),
    "another's opset": ({"d": 1}, 9, "the model states no opset"),
    "two opsets": ({"": 18, "ai.onnx": 17}, 9, "two opset versions of domain ''"),
    "format 999": ({"": 18}, 999, f"ir_version 999 is not supported, the range is 3 to {onnx.IR_VERSION}"),
    "no format": ({"": 18}, None, f"ir_version 0 is not supported, the range is 3 to {onnx.IR_VERSION}"),
}


@pytest.mark.row(35)
@pytest.mark.parametrize("case", VERSIONS)
def test_versions(refused: Any, write: Any, parse: Any, case: str) -> None:
    opsets, version, words = VERSIONS[case]
    made = parse()
    made.ClearField("opset_import")
    made.opset_import.extend(helper.make_opsetid(domain, number) for domain, number in opsets.items())
    made.ClearField("ir_version") if version is None else setattr(made, "ir_version", version)
    write(made)
    assert "hint: export" in refused("inspect", "m.onnx", says=words)


@pytest.mark.row(36)
@pytest.mark.parametrize("verb", ["inspect", "quantize"])
def test_an_output_that_nothing_writes(refused: Any, write: Any, verb: str) -> None:
    write("g (float[N,4] x) => (float[N,4] y, float[N,4] z) { y = Relu(x) }")
    told = refused(*COMMANDS[verb], says="value 'z' is not produced: the output list of the graph takes it")
    assert DAMAGED in told


@pytest.mark.row(36)
@pytest.mark.parametrize(
    "text", [(IF % ("y", "x", "")).replace("[inner] a =", "q ="), CALL + FUNCTION % (0, "q = Relu(a)")]
)
def test_an_output_that_nothing_in_a_body_writes(refused: Any, write: Any, text: str) -> None:
    write(text)
    refused("inspect", "m.onnx", says="is not produced: the output list of")


TYPES = {
    "two inputs": ("float[4] x, int64[4] i", "float[4] y", "[n] y = Add(x, i)"),
    "an operator": ("float[4] x", "float[4] y", "[n] y = Not(x)"),
    "the output": ("float[4] x", "int64[4] y", "[n] y = Relu(x)"),
    "a weight": ("float[4] x", "float[4] y", "[n] y = Mul(x, w)"),
    "a condition": ("float[4] x", "float[4] y", "[n] y = Where(x, x, x)"),
}


@pytest.mark.row(38)
@pytest.mark.parametrize("case", TYPES)
def test_types_that_do_not_fit(refused: Any, write: Any, case: str) -> None:
    taken, given, body = TYPES[case]
    write(f"g ({taken}) => ({given}) <double[4] w = {{0, 1, 2, 3}}> {{ {body} }}")
    told = refused("inspect", "m.onnx", says="type")
    assert "node name: n" in told
    assert "hint: the graph contradicts itself; export it again" in told


@pytest.mark.row(38)
def test_no_command_takes_types_that_do_not_fit(refused: Any, write: Any) -> None:
    write("g (float[4] x, int64[4] i) => (float[4] y) { y = Add(x, i) }")
    for verb in ("bench", "prune"):
        refused(*COMMANDS[verb], says="inconsistent type")


RECURSIONS = {
    "itself": (FUNCTION % (0, "b = d.f0(a)"), "d::f0 -> d::f0"),
    "another": (FUNCTION % (0, "b = d.f1(a)") + FUNCTION % (1, "b = d.f0(a)"), "d::f1"),
    "in a branch": (
        FUNCTION
        % (
            0,
            "c = Constant <value = bool {1}> ()  b = If (c) <then_branch = t () => (p) { p = d.f0(a) }, else_branch = e () => (q) { q = Relu(a) }>",
        ),
        "d::f0 -> d::f0",
    ),
}


@pytest.mark.row(39)
@pytest.mark.parametrize("case", RECURSIONS)
def test_a_function_that_calls_itself(refused: Any, write: Any, case: str) -> None:
    functions, words = RECURSIONS[case]
    write(CALL + functions)
    told = refused("inspect", "m.onnx", says="functions call themselves: ")
    assert words in told
    assert "hint: export the model again without recursion" in told


@pytest.mark.row(39)
def test_no_command_takes_a_function_that_calls_itself(refused: Any, write: Any) -> None:
    write(CALL + FUNCTION % (0, "b = d.f0(a)"))
    for verb in ("bench", "prune"):
        refused(*COMMANDS[verb], says="functions call themselves")


def bomb(depth: int) -> str:
    """Functions that each call the next one twice, which makes two to the power of the depth."""
    bodies = [f"p = d.f{i + 1}(a)  b = d.f{i + 1}(p)" for i in range(depth)]
    return CALL + "".join(FUNCTION % (i, body) for i, body in enumerate([*bodies, "b = Relu(a)"]))


@pytest.mark.row(40)
@pytest.mark.parametrize("verb", ["inspect", "bench"])
def test_functions_that_expand_to_two_million_nodes(refused: Any, write: Any, verb: str) -> None:
    write(bomb(21))
    told = refused(
        *COMMANDS[verb],
        code=4,
        cpu_s=2,
        says="nodes with functions expanded: 2,097,152, the limit is 200,000",
    )
    assert "--admit nodes=NUMBER" in told


@pytest.mark.row(40)
def test_functions_that_expand_to_more_than_can_be_counted(refused: Any, write: Any) -> None:
    write(bomb(63))
    refused("inspect", "m.onnx", code=4, cpu_s=2, says="nodes with functions expanded: more than 2^")


@pytest.mark.row(40)
def test_a_bomb_within_the_limit_that_is_set(accepted: Any, refused: Any, write: Any) -> None:
    write(bomb(8))
    accepted("inspect", "m.onnx", "--admit", "nodes=256")
    refused("inspect", "m.onnx", "--admit", "nodes=255", code=4, says="256, the limit is 255")


@pytest.mark.row(41)
def test_a_chain_of_20_000_nodes(accepted: Any, write: Any, parse: Any) -> None:
    write(chain(parse, 20_000, -1))
    shown = json.loads(accepted("inspect", "m.onnx", "--json").out)
    assert shown["operators"] == {"Relu": 20_000}
    assert shown["notes"] == ["the nodes of the graph were out of order and were sorted"]


PASSES = {
    "coupling": ("inspect", "m.onnx", "--coupling"),
    "bench": BENCH,
    "compare": ("compare", "m.onnx", "--data", "d.npz", "--metric", "cosine"),
    "dynamic": ("quantize", "m.onnx", "-o", "o.onnx", "--precision", "dynamic"),
    "static": ("quantize", "m.onnx", "-o", "o.onnx", "--calib", "d.npz"),
    "float16": ("quantize", "m.onnx", "-o", "o.onnx", "--precision", "float16"),
    "weights": ("quantize", "m.onnx", "-o", "o.onnx", "--weight-only", "int4"),
    "prune": ("prune", "m.onnx", "-o", "o.onnx", "--ratio", "0.5", "--calib", "d.npz"),
    "sparse": ("prune", "m.onnx", "-o", "o.onnx", *BLIND, "--granularity", "unstructured"),
}


@pytest.mark.slow
@pytest.mark.row(41)
@pytest.mark.parametrize("verb", PASSES)
def test_every_pass_takes_a_chain_of_20_000_nodes(
    accepted: Any, write: Any, samples: Any, parse: Any, verb: str
) -> None:
    made = chain(parse, 19_997)
    random = np.random.default_rng(0)
    for name, shape in (("w1", (4, 16)), ("w2", (16, 4))):
        made.graph.initializer.append(
            numpy_helper.from_array(random.standard_normal(shape).astype("f4"), name)
        )
    made.graph.node[-1].output[0] = "t"
    made.graph.node.extend(
        [
            helper.make_node("MatMul", ["t", "w1"], ["h"]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("MatMul", ["r", "w2"], ["y"]),
        ]
    )
    write(made)
    samples(x=random.standard_normal((8, 4)).astype("f4"))
    accepted(*PASSES[verb], cpu_s=100)


@pytest.mark.row(42)
def test_an_if_that_is_nested_30_deep(accepted: Any, write: Any, parse: Any) -> None:
    write(nested(parse, 30))
    shown = json.loads(accepted("inspect", "m.onnx", "--coupling", "--json").out)
    assert shown["operators"]["If"] == 30


def nested(parse: Any, depth: int) -> onnx.ModelProto:
    """An If in an If in an If, as deep as that."""
    made = parse("g (bool c, float[N,4] x) => (float[N,4] y) { y = Relu(x) }")
    leaf = branch = helper.make_graph(list(made.graph.node), "b", [], list(made.graph.output))
    for level in range(depth):
        output = helper.make_tensor_value_info(f"o{level}", 1, ["N", 4])
        node = helper.make_node("If", ["c"], [output.name], then_branch=branch, else_branch=leaf)
        branch = helper.make_graph([node], "b", [], [output])
    made.graph.CopyFrom(
        helper.make_graph(list(branch.node), "g", list(made.graph.input), list(branch.output))
    )
    return made


INFO = {
    "an algorithm": lambda info: info.algorithm.node.add(op_type="Gradient"),
    "bindings": lambda info: info.update_binding.add(key="w", value="y"),
    "nothing": lambda info: info,
}


@pytest.mark.row(44)
@pytest.mark.parametrize("case", INFO)
def test_training_info_is_not_dropped(refused: Any, write: Any, parse: Any, case: str) -> None:
    made = parse()
    INFO[case](made.training_info.add())
    write(made)
    told = refused("inspect", "m.onnx", says="the model carries training_info, which would be lost")
    assert "hint: export it for inference" in told


@pytest.mark.row(44)
def test_no_command_drops_training_info(refused: Any, write: Any, parse: Any) -> None:
    made = parse()
    made.training_info.add()
    write(made)
    for verb in ("bench", "prune"):
        refused(*COMMANDS[verb], says="training_info")


def sparse(name: str) -> onnx.SparseTensorProto:
    """Four numbers, of which the second is a 5 and the others zero."""
    values = numpy_helper.from_array(np.array([5], np.float32), name)
    return helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([1], np.int64)), [4])


@pytest.fixture
def with_sparse(write: Any, parse: Any, samples: Any) -> Any:
    """Write an Add of the input and a sparse weight, of a graph, or of a node's attribute."""

    def write_sparse(kind: str) -> None:
        made = parse("g (float[N,4] x) => (float[N,4] y) { [sum] y = Add(x, w) }")
        if kind == "weight":
            made.graph.sparse_initializer.append(sparse("w"))
        else:
            node = helper.make_node("Constant", [], ["w"], name="held", sparse_value=sparse("w"))
            made.graph.node.insert(0, node)
        write(made)
        samples(x=np.zeros((2, 4), np.float32))

    return write_sparse


@pytest.mark.row(44)
@pytest.mark.parametrize("kind", ["weight", "constant"])
def test_sparse_tensors_are_made_dense(accepted: Any, with_sparse: Any, place: Any, kind: str) -> None:
    with_sparse(kind)
    shown = json.loads(accepted("inspect", "m.onnx", "--json").out)
    assert shown["notes"] == ["1 sparse tensors were made dense"]
    accepted("quantize", "m.onnx", "-o", "o.onnx", "--precision", "float16")
    written = onnx.load(place / "o.onnx")
    (y,) = ReferenceEvaluator(written).run(None, {"x": np.zeros((1, 4), np.float32)})
    assert y.tolist() == [[0, 5, 0, 0]]


SPARSE = {
    "outside": ({"dims": [1]}, "has an index outside its dimensions"),
    "too large": ({"dims": [2**31]}, "dense bytes of sparse initializer 'w'"),
    "indices of another type": (
        {"indices": numpy_helper.from_array(np.array([1], np.int32))},
        "has indices that do not fit its values",
    ),
    "more indices than values": (
        {"indices": numpy_helper.from_array(np.array([1, 2], np.int64))},
        "has indices that do not fit its values",
    ),
}


@pytest.mark.row(44)
@pytest.mark.parametrize("case", SPARSE)
def test_sparse_tensors_that_hold_something_else(refused: Any, write: Any, parse: Any, case: str) -> None:
    fields, words = SPARSE[case]
    made = parse("g (float[N,4] x) => (float[N,4] y) { [sum] y = Add(x, w) }")
    held = sparse("w")
    for name in fields:
        held.ClearField(name)
    held.MergeFrom(onnx.SparseTensorProto(**fields))
    made.graph.sparse_initializer.append(held)
    write(made)
    refused("inspect", "m.onnx", code=4 if case == "too large" else 3, says=words)


@pytest.mark.row(44)
def test_a_sparse_attribute_that_cannot_be_made_dense(refused: Any, write: Any, parse: Any) -> None:
    made = parse("g (float[N,4] x) => (float[N,4] y) { [own] y = d.Own(x) }")
    made.graph.node[0].attribute.append(helper.make_attribute("mask", sparse("w")))
    write(made)
    told = refused("inspect", "m.onnx", says="node 'own' has a sparse attribute")
    assert "hint: make it dense first" in told
