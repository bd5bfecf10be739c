"""A graph that teaches: its outputs, its values, its batches, and what it refuses."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from sardonyx.core.errors import DataError, ModelError, UsageError
from sardonyx.training import OnnxTeacher, propose_pairs
from torch import nn

WEIGHT = np.random.default_rng(0).normal(size=(2, 1, 3, 3)).astype(np.float32)
HEAD = np.random.default_rng(1).normal(size=(2, 3)).astype(np.float32)


def write(path, batch: int | str = "batch", outputs: tuple[str, ...] = ("logits",)):
    nodes = [
        helper.make_node("Conv", ["image", "weight"], ["features"], pads=[1] * 4, name="conv"),
        helper.make_node("GlobalAveragePool", ["features"], ["pooled"], name="pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], name="flatten"),
        helper.make_node("MatMul", ["flat", "head"], ["logits"], name="head"),
        helper.make_node("Relu", ["logits"], ["positive"], name="relu"),
    ]
    graph = helper.make_graph(
        nodes,
        "teacher",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 1, 6, 6])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 3]) for name in outputs],
        [numpy_helper.from_array(WEIGHT, "weight"), numpy_helper.from_array(HEAD, "head")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def by_hand(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    features = nn.functional.conv2d(images, torch.from_numpy(WEIGHT), padding=1)
    return features.mean((2, 3)) @ torch.from_numpy(HEAD), features


@pytest.mark.parametrize("count", [1, 5])
def test_it_answers_like_a_module(tmp_path, count) -> None:
    teacher, images = OnnxTeacher(write(tmp_path / "t.onnx")), torch.rand(count, 1, 6, 6)
    for _ in range(2):
        torch.testing.assert_close(teacher(images), by_hand(images)[0], rtol=1e-5, atol=1e-5)


def test_its_values_are_its_layers(tmp_path) -> None:
    teacher, images = OnnxTeacher(write(tmp_path / "t.onnx")), torch.rand(2, 1, 6, 6)
    outputs, values = teacher.with_layers((images,), ["features", "logits"])
    torch.testing.assert_close(values["features"], by_hand(images)[1], rtol=1e-5, atol=1e-5)
    assert torch.equal(values["logits"], outputs)
    assert teacher.layer_names()[:2] == ("features", "pooled")


def test_several_outputs_are_a_tuple(tmp_path) -> None:
    teacher = OnnxTeacher(write(tmp_path / "t.onnx", outputs=("logits", "positive")))
    logits, positive = teacher(torch.rand(2, 1, 6, 6))
    assert torch.equal(positive, logits.relu())


@pytest.mark.parametrize("count", [1, 5, 6])
def test_a_fixed_batch_is_met_in_parts(tmp_path, count) -> None:
    teacher, images = OnnxTeacher(write(tmp_path / "t.onnx", batch=2)), torch.rand(count, 1, 6, 6)
    torch.testing.assert_close(teacher(images), by_hand(images)[0], rtol=1e-5, atol=1e-5)


def test_its_layers_are_paired_with_modules(tmp_path) -> None:
    student = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    pairs = propose_pairs(student, OnnxTeacher(write(tmp_path / "t.onnx")), (torch.rand(1, 1, 6, 6),))
    assert [str(pair) for pair in pairs] == ["1:features"]


def test_another_graph_is_another_teacher(tmp_path) -> None:
    first, second = (OnnxTeacher(write(tmp_path / f"{b}.onnx", batch=b)) for b in (1, 2))
    assert not torch.equal(first.state_dict()["sha256"], second.state_dict()["sha256"])


@pytest.mark.parametrize(
    ("run", "error", "text"),
    [
        (lambda t: t.with_layers((torch.rand(1, 1, 6, 6),), ["feature"]), UsageError, "such as features"),
        (lambda t: t(torch.rand(1, 1, 6, 6), torch.rand(1)), DataError, "takes 1 inputs, 2 are given"),
        (lambda t: t(torch.rand(1, 1, 6)), ModelError, "fails on a batch"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, run, error, text) -> None:
    teacher = OnnxTeacher(write(tmp_path / "t.onnx"))
    with pytest.raises(error, match=text):
        run(teacher)
    assert teacher(torch.rand(2, 1, 6, 6)).shape == (2, 3)  # and goes on with what fits


def test_a_file_that_is_no_model_is_refused(tmp_path) -> None:
    (tmp_path / "t.onnx").write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(ModelError):
        OnnxTeacher(tmp_path / "t.onnx")
