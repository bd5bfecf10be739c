"""``sardonyx compare``: metrics, tests of drops, drift and changed answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from sardonyx import ModelArtifact

Call = Callable[..., Any]
WORDS = ("compare", "a.onnx", "b.onnx", "--data", "d.npz", "--batch", "1", "--threads", "1")


def network(noise: float) -> ir.Model:
    """Two linear layers; the second has noise on its weight."""
    random = np.random.default_rng(0)
    first, second = (random.normal(size=shape).astype(np.float32) for shape in ((16, 16), (16, 4)))
    second += np.float32(noise) * random.normal(size=second.shape).astype(np.float32)
    weights = [ir.Value(name=n, const_value=ir.tensor(w, name=n)) for n, w in (("w0", first), ("w1", second))]
    image = ir.val("image", ir.DataType.FLOAT, ["batch", 1, 4, 4])
    flat = ir.node("Flatten", [image], name="flat")
    nodes = [flat, ir.node("MatMul", [*flat.outputs, weights[0]], name="first")]
    nodes.append(ir.node("Relu", nodes[-1].outputs, name="relu"))
    nodes.append(ir.node("MatMul", [*nodes[-1].outputs, weights[1]], name="second"))
    for index, node in enumerate(nodes):
        node.outputs[0].name = f"value{index}"
    scores = nodes[-1].outputs[0]
    scores.shape, scores.dtype = ir.Shape(["batch", 4]), ir.DataType.FLOAT
    graph = ir.Graph([image], [scores], nodes=nodes, initializers=weights, opset_imports={"": 17}, name="two")
    return ir.Model(graph, ir_version=9)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a model, one that drifted from it, and samples that the first answers rightly."""
    monkeypatch.chdir(tmp_path)
    first = network(0.0)
    ModelArtifact.of(first).save(tmp_path / "a.onnx")
    ModelArtifact.of(network(1.5)).save(tmp_path / "b.onnx")
    images = np.random.default_rng(1).normal(size=(80, 1, 4, 4)).astype(np.float32)
    weights = [first.graph.initializers[n].const_value.numpy() for n in ("w0", "w1")]  # type: ignore[union-attr]
    labels = (np.maximum(images.reshape(80, -1) @ weights[0], 0) @ weights[1]).argmax(1)
    np.savez(tmp_path / "d.npz", image=images, labels=labels)
    return tmp_path


def test_a_drop_is_called_real_or_not(call: Call, place: Path) -> None:
    outcome = call(*WORDS)
    assert outcome.code == 0
    assert "b.onnx loses" in outcome.out
    assert "real (McNemar, exact binomial, p = " in outcome.out
    same = call("compare", "a.onnx", "a.onnx", *WORDS[3:])
    assert "no difference in top1 that these samples could show" in same.out


@pytest.mark.parametrize("metric", ["top2", "f1", "miou", "retrieval"])
def test_metrics_by_name_are_in_the_document(call: Call, place: Path, metric: str) -> None:
    first, second = call(*WORDS, "--metric", metric, "--json").document["rows"]
    assert (first["accuracy"]["metric"], first["drop_test"]) == (metric, None)
    assert second["drop"]["value"] == pytest.approx(first["accuracy"]["value"] - second["accuracy"]["value"])
    assert 0.0 < second["drop_test"]["p_value"] <= 1.0


def test_max_drop_holds_for_errors_too(call: Call, place: Path) -> None:
    labels = np.load(place / "d.npz")
    np.savez(place / "d.npz", image=labels["image"], labels=np.zeros((80, 4)))
    ModelArtifact.of(network(9.0)).save(place / "b.onnx", force=True)
    found = call(*WORDS, "--metric", "mae", "--max-drop", "0.5", "--json")
    assert found.code == 1
    assert found.document["rows"][1]["drop"]["value"] > 0.5
    turned = call("compare", "b.onnx", "a.onnx", *WORDS[3:], "--metric", "mae", "--max-drop", "0", "--json")
    assert turned.code == 0
    assert turned.document["rows"][1]["drop"]["value"] < -0.5


def test_drift_names_the_node(call: Call, place: Path) -> None:
    outcome = call(*WORDS, "--drift")
    assert "the first below 20 dB is value3 of MatMul second" in outcome.out
    (drift,) = call(*WORDS, "--drift", "--json").document["drift"]
    assert [v["node"] for v in drift["values"]] == ["flat", "first", "relu", "second"]
    assert drift["values"][0]["max_abs"] == 0.0
    assert drift["first_diverged"]["node"] == "second"
    (loose,) = call(*WORDS, "--drift-db", "-40", "--json").document["drift"]
    assert (loose["first_diverged"], loose["threshold_db"]) == (None, -40.0)


def test_changed_answers_are_listed_without_pixels(call: Call, place: Path) -> None:
    outcome = call(*WORDS, "--changed", "3")
    assert "samples differently" in outcome.out
    assert "the 3 of which the first model was surest" in outcome.out
    (found,) = call(*WORDS, "--changed", "3", "--json").document["changed"]
    assert len(found["answers"]) == 3 < found["changed"] == found["lost"]
    assert set(found["answers"][0]) == {
        "index",
        "label",
        "before",
        "after",
        "before_margin",
        "after_margin",
    }


@pytest.mark.parametrize(
    ("words", "code", "cause"),
    [
        (("--metric", "bleu"), 2, "unknown metric 'bleu'"),
        (("--metric", "top4"), 2, "always right"),
        (("--metric", "rmse"), 3, "numbers a sample"),
        (("--metric", "sqnr", "--max-drop", "1"), 2, "no drop"),
        (("--max-drop", "nan"), 2, "--max-drop nan"),
        (("--max-drop", "5"), 2, "cannot lose 5"),
        (("--drift-db", "nan"), 2, "threshold of nan"),
        (("--output", "logits"), 3, "no output 'logits'"),
        (("--changed", "-1"), 2, "--changed"),
    ],
)
def test_requests_that_make_no_sense_are_refused(
    call: Call, place: Path, words: tuple[str, ...], code: int, cause: str
) -> None:
    outcome = call(*WORDS, *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert cause in outcome.err
