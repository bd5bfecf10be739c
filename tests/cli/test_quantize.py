"""Quantizing from the command line: culprits, budgets that hold and budgets that cannot, and what is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper
from sardonyx.calib_data.runner import OrtRunner

Call = Callable[..., Any]
BUDGET = ("--calib", "d.npz", "--eval", "d.npz", "--max-drop", 0.01)

FRAGILE = """g (float[N,16,9,9] x) => (float[N,8] y) {
    a = Conv <pads = [1,1,1,1]> (x, w1)  r = Relu(a)
    b = Conv <pads = [1,1,1,1]> (r, w2)  s = Relu(b)  m = Mul(s, undo)
    c = Conv <pads = [1,1,1,1]> (m, w3)  t = Relu(c)  d = Conv (t, w4)
    p = GlobalAveragePool(d)  y = Flatten(p)
}"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``m.onnx``, whose layer ``Conv_2`` has a channel scaled 1,000 times that a Mul undoes, and ``d.npz``.

    The labels are what the float model says, so that it is always right; samples on which it wavers are left out.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    shapes = {"w1": (32, 16, 3, 3), "w2": (32, 32, 3, 3), "w3": (32, 32, 3, 3), "w4": (8, 32, 3, 3)}
    weights = {name: random.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}
    undo = np.ones((1, 32, 1, 1), np.float32)
    weights["w2"][5] *= 1000.0
    undo[0, 5] = 1e-3
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{FRAGILE}')
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{index}"
    model.graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in {**weights, "undo": undo}.items()
    )
    onnx.save(model, tmp_path / "m.onnx")
    images = random.normal(size=(400, 16, 9, 9)).astype(np.float32)
    outputs = next(iter(OrtRunner().run(ir.from_proto(model), [{"x": images}], ["y"])))["y"]
    ranked = np.sort(outputs, axis=1)
    sure = np.argsort(ranked[:, -2] - ranked[:, -1])[:100]
    np.savez(tmp_path / "d.npz", x=images[sure], labels=outputs[sure].argmax(1))
    return tmp_path


def test_a_budget_finds_the_fragile_layer_and_leaves_all_others_in_integers(call: Call, place: Path) -> None:
    document = call("quantize", "m.onnx", *BUDGET, "-o", "q.onnx", "--target", "cpu-x86", "--json").document
    budget = document["budget"]
    assert budget["tries"][0]["lost"] > 0.05
    assert budget["culprits"][0]["node"] == "Conv_2"
    assert budget["restored"] == ["Conv_2"]
    assert budget["lost"] <= 0.01
    assert {"Conv_0", "Conv_5", "Conv_7"} <= {change["node"] for change in document["report"]["applied"]}
    reasons = {skip["node"]: skip["code"] for skip in document["report"]["skipped"]}
    assert reasons["Conv_2"] == "spared"


def test_a_budget_that_cannot_be_held_leaves_the_best_model_and_the_table(call: Call, place: Path) -> None:
    never = (*BUDGET[:4], "--max-drop", 0, "--metric", "worse.py:one_if_float")
    Path("worse.py").write_text(
        "import onnx\n\n\ndef one_if_float(path):\n    nodes = onnx.load(path).graph.node\n"
        "    return 1.0 - sum(n.op_type == 'QuantizeLinear' for n in nodes) / 100\n"
    )
    outcome = call("quantize", "m.onnx", *never, "-o", "q.onnx", "--target", "cpu-x86", "--json")
    assert outcome.code == 1
    budget = outcome.document["budget"]
    assert Path("q.onnx").is_file()
    assert budget["lost"] == min(tried["lost"] for tried in budget["tries"]) > 0
    assert "no choice of nodes holds" in outcome.err
    assert "alone in integers" in outcome.err


def test_diagnosis_and_gains_are_shown(call: Call, place: Path) -> None:
    words = ("--diagnose", "--tool", "equalize", "--tool", "round", "-v", "--memory", "64MB")
    outcome = call("quantize", "m.onnx", "--calib", "d.npz", "-o", "q.onnx", *words)
    assert outcome.code == 0
    assert [line.split()[0] for line in outcome.out.splitlines() if line.endswith(" dB above its noise")]
    assert "equalize: outputs from" in outcome.out
    assert "round: outputs from" in outcome.out


@pytest.mark.parametrize(("memory", "code"), [("64 squirrels", 2), ("0", 2), ("1kB", 4)])
def test_a_cap_that_is_no_size_or_too_small(call: Call, place: Path, memory: str, code: int) -> None:
    outcome = call("quantize", "m.onnx", "--calib", "d.npz", "-o", "q.onnx", "--memory", memory)
    assert outcome.code == code
    assert not Path("q.onnx").exists()


def test_kept_statistics_are_mentioned(call: Call, place: Path) -> None:
    arguments = ("quantize", "m.onnx", "--calib", "d.npz", "-o")
    assert "used again" not in call(*arguments, "one.onnx").err
    assert "used again" in call(*arguments, "two.onnx").err
    assert Path("one.onnx").read_bytes() == Path("two.onnx").read_bytes()


def test_weights_of_four_bits_are_written_for_memory(call: Call, place: Path) -> None:
    words = ("--calib", "d.npz", "--weight-bits", 4, "--target", "cpu-x86", "-o", "q.onnx", "--json")
    document = call("quantize", "m.onnx", *words).document
    assert document["report"]["types"]["weight_bits"] == 4
    assert any("save memory" in reason for reason in document["reasons"])
    assert document["integer_nodes"] is None
