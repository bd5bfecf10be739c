"""Every verb on small models: what it writes, prints and refuses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx import ModelArtifact

Call = Callable[..., Any]


def constant(name: str, *shape: int) -> ir.Value:
    array = np.random.default_rng(len(name)).normal(0, 0.2, shape).astype(np.float32)
    return ir.Value(name=name, const_value=ir.tensor(array, name=name))


def network(hostile: str = "first") -> ir.Model:
    """A convolution and a linear layer: images (N, 3, 8, 8) to 4 logits."""
    image = ir.val("image", ir.DataType.FLOAT, ["batch", 3, 8, 8])
    weights = [constant("conv", 32, 3, 3, 3), constant("body", 32, 32, 3, 3), constant("head", 32, 4)]
    first = ir.node("Conv", [image, weights[0]], {"pads": [1] * 4}, name=hostile)
    second = ir.node("Conv", [*first.outputs, weights[1]], {"pads": [1] * 4}, name="second")
    pooled = ir.node("GlobalAveragePool", second.outputs)
    flat = ir.node("Flatten", pooled.outputs)
    head = ir.node("MatMul", [*flat.outputs, weights[2]], name="head")
    logits = head.outputs[0]
    logits.name, logits.shape, logits.dtype = "logits", ir.Shape(["batch", 4]), ir.DataType.FLOAT
    nodes = [first, second, pooled, flat, head]
    graph = ir.Graph(
        [image], [logits], nodes=nodes, initializers=weights, opset_imports={"": 17}, name="small"
    )
    return ir.Model(graph, ir_version=9)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with ``m.onnx`` and ``d.npz``."""
    monkeypatch.chdir(tmp_path)
    ModelArtifact.of(network()).save(tmp_path / "m.onnx")
    images = np.random.default_rng(0).normal(size=(48, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "d.npz", image=images, labels=np.arange(48) % 4)
    return tmp_path


def test_inspect_prints_what_a_model_holds(call: Call, place: Path) -> None:
    outcome = call("inspect", "m.onnx", "--coupling")
    assert outcome.code == 0
    assert "image: float32 batchx3x8x8" in outcome.out
    assert "graph output logits" in outcome.out


def test_inspect_as_json(call: Call, place: Path) -> None:
    document = call("inspect", "m.onnx", "--json").document
    assert document["operators"]["Conv"] == 2
    assert document["sha256"] == hashlib.sha256((place / "m.onnx").read_bytes()).hexdigest()


def test_a_hostile_node_name_cannot_write_on_the_terminal(call: Call, place: Path) -> None:
    ModelArtifact.of(network("\x1b[2J[bold red]\u202eevil")).save(place / "evil.onnx")
    outcome = call("quantize", "evil.onnx", "--calib", "d.npz", "-o", "q.onnx", "-v")
    assert outcome.code == 0
    assert "\x1b" not in outcome.out + outcome.err
    assert "\u202e" not in outcome.out + outcome.err


def test_prune_writes_a_proven_model(call: Call, place: Path) -> None:
    outcome = call(
        "prune", "m.onnx", "--calib", "d.npz", "--params", "0.7", "--align", "8", "-o", "p.onnx", "--json"
    )
    assert outcome.code == 0
    proof = outcome.document["report"]["proof"]
    assert proof["largest_difference"] <= proof["tolerance"]
    assert ModelArtifact.open(place / "p.onnx").sha256 == outcome.document["sha256"]
    assert "masked original == pruned" in outcome.err


def test_explain_writes_nothing(call: Call, place: Path) -> None:
    before = sorted(place.iterdir())
    outcome = call("prune", "m.onnx", "--calib", "d.npz", "--params", "0.7", "--explain")
    assert outcome.code == 0
    assert "conv" in outcome.out
    assert sorted(place.iterdir()) == before


def test_a_saved_plan_is_replayed(call: Call, place: Path) -> None:
    words = ("prune", "m.onnx", "--calib", "d.npz", "--align", "8")
    assert call(*words, "--params", "0.7", "--explain", "--save-plan", "plan.json").code == 0
    assert json.loads((place / "plan.json").read_text())["schema"] == "sardonyx.plan/1"
    outcome = call(*words, "--plan", "plan.json", "-o", "p.onnx", "--json")
    assert outcome.code == 0
    assert outcome.document["report"]["after"]["params"] < outcome.document["report"]["before"]["params"]


def test_weights_are_zeroed_in_a_pattern_without_a_budget(call: Call, place: Path) -> None:
    outcome = call("prune", "m.onnx", "--calib", "d.npz", "--granularity", "2:4", "-o", "p.onnx", "--json")
    assert outcome.code == 0
    assert outcome.document["report"]["details"]["sparsity"] == pytest.approx(0.5)
    assert "do not run faster" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "cause"),
    [
        (("--params", "0.5"), 2, "no output"),
        (("--params", "0.5", "-o", "p.onnx", "--save-plan", "p.onnx"), 2, "cannot be one file"),
        (("--params", "0.5", "-o", "p.onnx", "--save-plan", "m.onnx"), 2, "also an input"),
        (("--plan", "m.onnx", "-o", "p.onnx"), 2, "not JSON"),
        (("--params", "0.5", "--max-error", "0", "-o", "p.onnx"), 2, "max_error"),
        (("--params", "0.5", "--scope", "worldwide", "-o", "p.onnx"), 2, "worldwide"),
        (("--params", "0.5", "-o", "m.onnx"), 2, "also an input"),
        (("-o", "p.onnx"), 2, "one budget"),
        (("--params", "0.5", "--ratio", "0.5", "-o", "p.onnx"), 2, "one budget"),
        (("--params", "1.5", "-o", "p.onnx"), 2, "outside"),
        (("--params", "nan", "-o", "p.onnx"), 2, "outside"),
        (("--params", "0.5", "-o", "none/p.onnx"), 5, "does not exist"),
        (("--params", "0.5", "--align", "-3", "-o", "p.onnx"), 2, "--align"),
        (("--params", "0.5", "--criterion", "luck", "-o", "p.onnx"), 2, "luck"),
        (("--params", "0.5", "--target", "abacus", "-o", "p.onnx"), 2, "abacus"),
        (("--params", "0.5", "--seed", "-1", "-o", "p.onnx"), 2, "seed"),
    ],
)
def test_prune_refuses(call: Call, place: Path, arguments: tuple[str, ...], code: int, cause: str) -> None:
    before = {path: path.read_bytes() for path in place.iterdir()}
    outcome = call("prune", "m.onnx", "--calib", "d.npz", *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert cause in outcome.err
    assert {path: path.read_bytes() for path in place.iterdir()} == before


@pytest.mark.parametrize("verb", ["prune", "quantize"])
def test_an_existing_output_is_left_unless_forced(call: Call, place: Path, verb: str) -> None:
    (place / "out.onnx").write_bytes(b"precious")
    arguments = [
        verb,
        "m.onnx",
        "--calib",
        "d.npz",
        "-o",
        "out.onnx",
        *(["--ratio", "0.5"] if verb == "prune" else []),
    ]
    outcome = call(*arguments)
    assert outcome.code == 2
    assert "--force" in outcome.err
    assert (place / "out.onnx").read_bytes() == b"precious"
    assert call(*arguments, "--force").code == 0


def test_quantize_names_the_types_and_why(call: Call, place: Path) -> None:
    arguments = ("quantize", "m.onnx", "--calib", "d.npz", "-o", "q.onnx", "--target", "cpu-x86", "--json")
    document = call(*arguments).document
    assert document["report"]["types"]["activation"] == "uint8"
    assert document["report"]["types"]["reasons"]
    assert document["integer_nodes"] > 0


def test_quantize_keeps_within_a_drop_or_says_that_it_cannot(call: Call, place: Path) -> None:
    budget = ("--max-drop", "0.5", "--eval", "d.npz", "--metric", "cosine")
    document = call("quantize", "m.onnx", "--calib", "d.npz", "-o", "q.onnx", *budget, "--json").document
    assert document["budget"]["lost"] <= 0.5


def test_a_custom_metric_judges(call: Call, place: Path) -> None:
    (place / "metric.py").write_text("def never(outputs, labels):\n    return -1.0\n")
    outcome = call(
        "compare", "m.onnx", "--data", "d.npz", "--metric", "metric.py:never", "--batch", "1", "--json"
    )
    assert outcome.document["rows"][0]["accuracy"]["value"] == -1.0


def test_compare_puts_models_side_by_side(call: Call, place: Path) -> None:
    assert call("quantize", "m.onnx", "--calib", "d.npz", "-o", "q.onnx").code == 0
    outcome = call("compare", "m.onnx", "q.onnx", "--data", "d.npz", "--batch", "2", "--json")
    rows = outcome.document["rows"]
    assert [row["model"] for row in rows] == ["m.onnx", "q.onnx"]
    assert rows[1]["agreement"]["value"] > 0.8
    assert "q.onnx" in outcome.err


def test_an_expectation_not_met_is_exit_1_and_one_document(call: Call, place: Path) -> None:
    outcome = call(
        "compare", "m.onnx", "m.onnx", "--data", "d.npz", "--batch", "1", "--min-speedup", "50", "--json"
    )
    assert outcome.code == 1
    assert outcome.document["error"]["exit_code"] == 1
    assert len(outcome.document["rows"]) == 2


def test_bench_needs_no_samples(call: Call, place: Path) -> None:
    document = call("bench", "m.onnx", "--batch", "1", "--threads", "1", "--json").document
    (row,) = document["providers"][0]["rows"]
    assert row["low_ms"] <= row["median_ms"] <= row["high_ms"]


@pytest.mark.parametrize("verb", [("bench",), ("compare", "--data", "d.npz")])
def test_a_device_that_is_not_here_is_exit_5_with_a_remedy(
    call: Call, place: Path, verb: tuple[str, ...]
) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("CUDA is here")
    outcome = call(*verb, "m.onnx", "--ep", "cuda")
    lines = outcome.err.splitlines()
    assert outcome.code == 5
    assert lines[-2].startswith("error: ")
    assert "CUDA" in lines[-2]
    assert lines[-1].startswith("hint: ")


def test_an_unknown_provider_is_usage(call: Call, place: Path) -> None:
    assert call("bench", "m.onnx", "--ep", "abacus").code == 2


@pytest.mark.parametrize("verb", ["inspect", "prune", "quantize", "compare", "bench"])
@pytest.mark.parametrize("content", [b"", b"<html>", b"\x80" * 64])
def test_what_is_no_model_is_exit_3(call: Call, place: Path, verb: str, content: bytes) -> None:
    (place / "bad.onnx").write_bytes(content)
    more = {
        "prune": ["--calib", "d.npz", "--params", "0.5", "-o", "o.onnx"],
        "quantize": ["--calib", "d.npz", "-o", "o.onnx"],
        "compare": ["--data", "d.npz"],
    }
    outcome = call(verb, "bad.onnx", *more.get(verb, []))
    assert outcome.code == 3
    assert len(outcome.err.splitlines()) == 2
    assert not (place / "o.onnx").exists()


def test_samples_that_do_not_fit_are_exit_3(call: Call, place: Path) -> None:
    np.savez(place / "wrong.npz", picture=np.zeros((8, 1, 2, 2), np.float32))
    outcome = call("quantize", "m.onnx", "--calib", "wrong.npz", "-o", "q.onnx")
    assert outcome.code == 3
    assert not (place / "q.onnx").exists()


def test_data_writes_samples_that_the_other_verbs_take(call: Call, place: Path) -> None:
    outcome = call("data", "d.npz", "--limit", "16", "-o", "some.npz", "--json")
    assert outcome.document["samples"] == 16
    with np.load(place / "some.npz", allow_pickle=False) as file:
        assert file["image"].shape == (16, 3, 8, 8)
        assert file["labels"].shape == (16,)


@pytest.mark.parametrize(
    ("arguments", "code"), [(("nothing", "-o", "x.npz"), 2), (("d.npz", "-o", "x.txt"), 2)]
)
def test_data_refuses(call: Call, place: Path, arguments: tuple[str, ...], code: int) -> None:
    assert call("data", *arguments).code == code


def test_doctor_knows_this_machine(call: Call) -> None:
    document = call("doctor", "--json").document
    assert document["target"].startswith("cpu")
    assert any(p["name"] == "CPUExecutionProvider" and p["is_available"] for p in document["providers"])


def test_doctor_says_what_to_install(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from sardonyx.pipeline import doctor

    known = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "torch" else known(name))
    assert 'pip install "sardonyx[torch]"' in call("doctor").out


RECIPE = """
model = "m.onnx"
[data]
calibration = "d.npz"
evaluation = "d.npz"
[[steps]]
kind = "quantize"
[[steps]]
kind = "compare"
batches = [1]
rounds = 5
"""


def test_run_fills_a_folder(call: Call, place: Path) -> None:
    (place / "recipe.toml").write_text(RECIPE)
    outcome = call("run", "recipe.toml", "-o", "out", "--json", "--set", "steps.1.rounds=6", "--seed", "3")
    assert outcome.code == 0
    assert json.loads((place / "out/recipe.json").read_text())["seed"] == 3
    assert outcome.document["models"]["quantize"]
    assert (place / "out/report.html").is_file()


@pytest.mark.parametrize(
    ("change", "code", "place_named"),
    [
        (("batches", "batch"), 3, "steps.1.batch"),
        (("quantize", "squeeze"), 3, "steps.0"),
        (("m.onnx", "none.onnx"), 3, "none.onnx"),
        (("[1]", "[0]"), 3, "steps.1.batches.0"),
    ],
)
def test_run_refuses_with_the_place(
    call: Call, place: Path, change: tuple[str, str], code: int, place_named: str
) -> None:
    (place / "recipe.toml").write_text(RECIPE.replace(*change))
    outcome = call("run", "recipe.toml", "-o", "out")
    assert outcome.code == code
    assert place_named in outcome.err


def test_distill_needs_a_distill_step(call: Call, place: Path) -> None:
    (place / "recipe.toml").write_text(RECIPE)
    assert call("distill", "recipe.toml", "-o", "out").code == 3


def test_file_names_may_be_anything(call: Call, place: Path) -> None:
    odd = place / "-größe [1]\n.onnx"
    (place / "m.onnx").rename(odd)
    assert call("inspect", f"./{odd.name}").code == 0
    assert call("inspect", "--", odd.name).code == 0
