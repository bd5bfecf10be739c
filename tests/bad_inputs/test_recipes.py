"""Rows 60 and 61: recipes that say what a recipe cannot say, and cuts that would leave nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

CHAIN = """model = "m.onnx"
[data]
calibration = "d.npz"
[[steps]]
kind = "prune"
"""
CNN = """g (float[N,3,8,8] x) => (float[N,6] y) {
    a = Conv <pads = [1,1,1,1]> (x, w1)  b = Relu(a)
    c = Conv <pads = [1,1,1,1], group = GROUP> (b, w2)  d = Relu(c)
    e = Conv(d, w3)  p = GlobalAveragePool(e)  y = Flatten(p)
}"""


@pytest.fixture
def net(write: Any, parse: Any, samples: Any) -> Any:
    """Write three convolutions, the middle one in groups, with samples."""

    def write_net(groups: int = 1, width: int = 12) -> None:
        model = parse(CNN.replace("GROUP", str(groups)))
        random = np.random.default_rng(0)
        shapes = {"w1": (width, 3, 3, 3), "w2": (width, width // groups, 3, 3), "w3": (6, width, 1, 1)}
        for name, shape in shapes.items():
            weight = random.normal(0, 0.3, shape).astype("f4")
            model.graph.initializer.append(numpy_helper.from_array(weight, name))
        write(model)
        samples(x=random.normal(size=(16, 3, 8, 8)).astype("f4"))

    return write_net


@pytest.mark.row(60)
@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("parms = 0.5", "steps.0.parms: unknown key"),
        ('params = "half"', "steps.0.params: "),
        ("params = nan", "steps.0.params: "),
        ("params = 1.0", "steps.0.params: "),
        ("params = 0.0", "steps.0.params: "),
        ("params = -0.5", "steps.0.params: "),
        ("params = inf", "steps.0.params: "),
        ("ratio = 1.0", "steps.0.ratio: "),
        ("params = true", "steps.0.params: "),
        ("params = [0.5]", "steps.0.params: "),
        ("params = 1979-05-27", "steps.0.params: "),
        ("align = 0", "steps.0.align"),
        ("exclude = [1]", "steps.0.exclude.0: "),
        ('name = "../up"', "steps.0.name: "),
        ('of = "later"', "later"),
        ("params = 0.5\nparams = 0.6", "is not TOML"),
        ("params = 0.5\n[[steps]]\nkind = 'cut'", "steps.1: "),
        ("", "budget"),
        ("params = 0.5\nratio = 0.5", "budget"),
        ('params = 0.5\ngranularity = "3:2"', "3:2"),
        ('params = 0.5\ncriterion = "luck"', "luck"),
    ],
)
def test_a_step_that_says_what_it_cannot_say(
    refused: Any, net: Any, place: Path, line: str, told: str
) -> None:
    net()
    (place / "r.toml").write_text(CHAIN + line)
    refused("run", "r.toml", "-o", "out", says=told)


@pytest.mark.row(60)
@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("seed = 18446744073709551616", "seed: "),
        ("seed = -1", "seed: "),
        ("seed = 1.5", "seed: "),
        ("speed = 1", "speed: unknown key"),
        ('target = "toaster"', "toaster"),
        ("a = " + "[" * 5000, "is nested too deeply"),
        ("a = 'x", "is not TOML"),
        ("a = \x00", "is not TOML"),
        ("#" * (1 << 21), "the limit is"),
    ],
    ids=["seed 2^64", "seed -1", "seed 1.5", "key", "target", "nested", "text", "NUL", "long"],
)
def test_a_recipe_that_says_what_it_cannot_say(
    refused: Any, net: Any, place: Path, line: str, told: str
) -> None:
    net()
    (place / "r.toml").write_text(f"{line}\n{CHAIN}params = 0.5\n")
    refused("run", "r.toml", "-o", "out", says=told, code=4 if line.startswith("##") else 3)


@pytest.mark.row(60)
@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"model = 'm.onnx'"], ids=["empty", "no text", "no steps"]
)
def test_what_is_no_recipe(refused: Any, place: Path, content: bytes) -> None:
    (place / "r.toml").write_bytes(content)
    refused("run", "r.toml", "-o", "out", says="r.toml")


@pytest.mark.row(60)
@pytest.mark.parametrize("setting", ["steps.0.params=2", "steps.9.params=0.5", "seed=-1", "nonsense"])
def test_a_setting_that_says_what_it_cannot_say(refused: Any, net: Any, place: Path, setting: str) -> None:
    net()
    (place / "r.toml").write_text(CHAIN + "params = 0.5\n")
    code = 3 if setting in {"steps.0.params=2", "seed=-1"} else 2
    refused("run", "r.toml", "-o", "out", "--set", setting, code=code)


@pytest.mark.row(60)
@pytest.mark.parametrize("name", ["none.toml", "."])
def test_a_recipe_that_is_not_there(refused: Any, name: str) -> None:
    refused("run", name, "-o", "out", says=name)


def widths(model: onnx.ModelProto) -> dict[str, int]:
    return {tensor.name: min(tensor.dims) for tensor in model.graph.initializer if len(tensor.dims) == 4}


@pytest.mark.row(61)
@pytest.mark.parametrize("groups", [1, 3, 12])
@pytest.mark.parametrize(
    "words",
    [
        ("--ratio", "0.999", "--align", "1"),
        ("--params", "0.001", "--align", "1"),
        ("--macs", "0.001", "--align", "1"),
        ("--ratio", "0.5", "--align", "5"),
        ("--ratio", "0.9", "--align", "8"),
    ],
    ids=" ".join,
)
def test_a_cut_leaves_at_least_one_channel(
    run: Any, net: Any, place: Path, groups: int, words: tuple[str, ...]
) -> None:
    net(groups)
    found = run("prune", "m.onnx", "--calib", "d.npz", *words, "-o", "p.onnx", "--json")
    if found.code:
        assert found.code in {1, 2}, found.err
        assert [line.split()[0] for line in found.err.splitlines()[-2:]] == ["error:", "hint:"]
        assert not (place / "p.onnx").exists()
        return
    model = onnx.load(place / "p.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert min(widths(model).values()) >= 1
    plan = json.loads(found.out)["report"]["plan"]
    assert all(1 <= group["width_after"] <= group["width_before"] for group in plan)
    for node in model.graph.node:
        if node.op_type == "Conv":
            weight = next(t for t in model.graph.initializer if t.name == node.input[1])
            number = next((a.i for a in node.attribute if a.name == "group"), 1)
            assert weight.dims[0] % number == 0


@pytest.mark.row(61)
@pytest.mark.parametrize("align", ["16", "1000000"])
def test_a_multiple_above_the_width_is_made_smaller_and_that_is_said(
    accepted: Any, net: Any, place: Path, align: str
) -> None:
    net()
    words = ("--calib", "d.npz", "--ratio", "0.5", "--align", align, "-o", "p.onnx")
    found = accepted("prune", "m.onnx", *words)
    told = f"2 of 2 groups cut, widths in multiples of {align}; 2 too narrow for that in multiples of a part of it"
    assert told in found.out
    assert min(widths(onnx.load(place / "p.onnx")).values()) >= 1


@pytest.mark.row(61)
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--ratio", "1.0"), 2),
        (("--ratio", "-0.1"), 2),
        (("--ratio", "nan"), 2),
        (("--params", "0"), 2),
        (("--params", "inf"), 2),
        (("--ratio", "0.5", "--align", "0"), 2),
        (("--ratio", "0.5", "--min-width", "0"), 2),
        (("--granularity", "0:4"), 2),
        (("--granularity", "4:4"), 2),
        (("--ratio", "0.5", "--granularity", "block:0x4"), 2),
        ((), 2),
        (("--ratio", "0.5", "--params", "0.5"), 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_cut_that_cannot_be(refused: Any, net: Any, words: tuple[str, ...], code: int) -> None:
    net()
    refused("prune", "m.onnx", "--calib", "d.npz", *words, "-o", "p.onnx", code=code)


@pytest.mark.row(61)
def test_more_neurons_asked_to_stay_than_there_are(run: Any, net: Any) -> None:
    net()
    found = run("prune", "m.onnx", "--calib", "d.npz", "--ratio", "0.5", "--min-width", "64", "-o", "p.onnx")
    assert "0 of 2 groups cut" in found.out or "error:" in found.err
