"""A chain of many nodes: everything that walks a graph takes it, without a stack that grows and without quadratic work."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from confined_command import run_command
from onnx import helper, numpy_helper

WIDTH = 4
CPU_S = 900
COMMANDS = {
    "inspect": "inspect m.onnx --coupling --json",
    "prune": "prune m.onnx --criterion magnitude --no-compensate --params 0.6 --align 1 -o p.onnx --json",
    "quantize": "quantize m.onnx --weight-only int8 -o q.onnx --json",
}
CHECKED = {
    "inspect": lambda document, count: (
        (len(document["groups"]) - 1) * 2 == document["size"]["nodes"] == count
    ),
    "prune": lambda document, count: 0.55 < params(document, "after") / params(document, "before") < 0.61,
    "quantize": lambda document, count: len(document["report"]["applied"]) == count // 2,
}


def params(document: dict, when: str) -> int:
    return document["report"][when]["params"]


def write_chain(path: Path, count: int) -> None:
    """``relu(x W)``, so many nodes in all."""
    random, nodes, weights = np.random.default_rng(0), [], []
    for i in range(count // 2):
        weight = random.standard_normal((WIDTH, WIDTH)).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"w{i}"))
        nodes.append(helper.make_node("MatMul", [f"v{i}", f"w{i}"], [f"p{i}"], name=f"mul{i}"))
        nodes.append(helper.make_node("Relu", [f"p{i}"], [f"v{i + 1}"], name=f"relu{i}"))
    ends = [helper.make_tensor_value_info(n, 1, ["n", WIDTH]) for n in ("v0", f"v{count // 2}")]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


@pytest.mark.parametrize("count", [400, pytest.param(20_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_chain_goes_through(tmp_path: Path, name: str, count: int) -> None:
    (tmp_path / "work").mkdir()
    write_chain(tmp_path / "work/m.onnx", count)
    outcome = run_command(COMMANDS[name].split(), tmp_path / "work", tmp_path / "scratch", cpu_s=CPU_S)
    assert outcome.code == 0, outcome.err
    assert CHECKED[name](json.loads(outcome.out), count)


def test_more_nodes_than_are_admitted_are_refused(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    write_chain(tmp_path / "work/m.onnx", 1_000)
    words = "inspect m.onnx --admit nodes=999"
    outcome = run_command(words.split(), tmp_path / "work", tmp_path / "scratch")
    assert outcome.code == 4
    assert outcome.err.splitlines()[-2].startswith("error:")
