"""A student and its teacher: every form learns, and says what it did."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import DataError, UsageError
from sardonyx.exporter import ExportOptions, InputShape, export_model
from sardonyx.training import (
    DistillOptions,
    OnnxTeacher,
    distill,
    resume_path,
)
from torch import nn

QUICK = DistillOptions(epochs=4, batch_size=32, learning_rate=0.05, validation_ratio=0.2, precision="fp32")
FORMS = {
    "response": {},
    "mse": {"response": "mse", "learning_rate": 0.005},  # logits are far apart
    "features": {"pairs": "2:2", "feature_weight": 1.0},
    "cosine": {"pairs": "2:2", "feature_weight": 1.0, "feature_loss": "cosine"},
    "attention": {"pairs": "auto", "feature_weight": 1.0, "feature_loss": "attention"},
    "relations": {"distance_weight": 1.0, "angle_weight": 2.0},
    "relations of layers": {"distance_weight": 1.0, "pairs": "3:2"},
    "no labels": {"teacher_weight": 1.0},
    "layers alone": {"teacher_weight": 0.0, "pairs": "2:2", "feature_weight": 1.0},
}
TERMS = {
    "response": {"labels", "teacher"},
    "mse": {"labels", "teacher"},
    "features": {"labels", "teacher", "features"},
    "cosine": {"labels", "teacher", "features"},
    "attention": {"labels", "teacher", "features"},
    "relations": {"labels", "teacher", "distances", "angles"},
    "relations of layers": {"labels", "teacher", "distances"},
    "no labels": {"teacher"},
    "layers alone": {"labels", "features"},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_learns(net, teacher, images, other_images, tmp_path, form) -> None:
    student, path = net(4, 0.0), tmp_path / "s.safetensors"
    report = distill(student, teacher, images, other_images, replace(QUICK, **FORMS[form]), checkpoint=path)
    assert report.evaluation_score > 0.8
    assert set(report.history[0].losses) == TERMS[form] | {"total"}
    assert report.history[-1].losses["total"] < report.history[0].losses["total"]
    assert set(load_file(path)) == set(student.state_dict())
    assert not any(part._forward_hooks for m in (student, teacher) for part in m.modules())


def test_answers_are_kept_only_where_nothing_changes_them(
    net, teacher, images, other_images, tmp_path
) -> None:
    def note(**change) -> str:
        options = replace(QUICK, epochs=2, **change)
        return distill(net(4), teacher, images, other_images, options, checkpoint=tmp_path / "s.st").notes[0]

    assert "128 training samples were computed once" in note()
    assert "by an earlier run" in note(learning_rate=0.1)
    assert "computed once" in note(seed=1)  # another part is held out
    assert "augmentation" in note(flip=True)
    assert "computed once" in note(pairs="2:2", feature_weight=1.0)
    assert note(cache=False) == "the teacher answers for every batch"


@pytest.mark.parametrize("form", ["response", "features"])
def test_kept_answers_teach_what_live_ones_do(net, teacher, images, other_images, tmp_path, form) -> None:
    weights = []
    for cache in (True, False):
        student = net(4, 0.0)
        options = replace(QUICK, epochs=2, cache=cache, **FORMS[form])
        distill(student, teacher, images, other_images, options, checkpoint=tmp_path / f"{cache}.st")
        weights.append(student[0].weight)
    torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-5)


def test_without_labels_the_teacher_is_the_judge(net, teacher, images, other_images, tmp_path) -> None:
    bare = [replace(data, all_labels=None) for data in (images, other_images)]
    options = replace(QUICK, teacher_weight=1.0)
    report = distill(net(4, 0.0), teacher, *bare, options, checkpoint=tmp_path / "s.safetensors")
    assert (report.metric, report.teacher_score, report.evaluation_top1_ratio) == ("agreement", 1.0, None)
    assert report.evaluation_score == report.agreement_ratio > 0.8


def test_labels_that_are_needed_are_asked_for(net, teacher, images, other_images, tmp_path) -> None:
    bare = replace(images, all_labels=None)
    with pytest.raises(DataError, match=r"no labels .*teacher_weight of 1"):
        distill(net(4), teacher, bare, other_images, QUICK, checkpoint=tmp_path / "s.safetensors")


def rows(count: int, seed: int, *, labels: bool = True) -> CalibrationData:
    """Five numbers, and two that follow from them."""
    x = np.random.default_rng(seed).normal(size=(count, 5)).astype(np.float32)
    y = np.stack([x[:, 0] - x[:, 1], np.abs(x[:, 2])], 1)
    return CalibrationData.from_arrays({"x": x}, y if labels else None)


class Rule(nn.Module):
    """A teacher that knows the rule of :func:`rows`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[:, 0] - x[:, 1], x[:, 2].abs()], 1)


def small(outputs: int = 2) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(5, 24), nn.ReLU(), nn.Linear(24, outputs))


@pytest.mark.parametrize("response", ["auto", "mse", "cosine"])
def test_numbers_are_taught(tmp_path, response) -> None:
    options = replace(
        QUICK, epochs=20, learning_rate=0.1, task="regression", response=response, teacher_weight=0.5
    )
    report = distill(
        small(), Rule(), rows(320, 0), rows(80, 1), options, checkpoint=tmp_path / "s.safetensors"
    )
    assert (report.metric, report.teacher_score) == ("r2", pytest.approx(1.0))
    assert report.evaluation_score > 0.8
    assert (report.evaluation_top1_ratio, report.agreement_ratio) == (None, None)


@pytest.mark.parametrize("change", [{}, {"distance_weight": 1.0, "angle_weight": 1.0}])
def test_embeddings_are_taught(tmp_path, change) -> None:
    options = replace(QUICK, epochs=20, learning_rate=0.1, task="embedding", **change)
    data = rows(320, 0, labels=False), rows(80, 1, labels=False)
    report = distill(small(), Rule(), *data, options, checkpoint=tmp_path / "s.safetensors")
    assert (report.metric, report.teacher_score) == ("cosine", pytest.approx(1.0))
    assert report.evaluation_score > 0.9
    assert "labels" not in report.history[0].losses


def test_a_graph_teaches_like_its_module(net, teacher, images, other_images, tmp_path) -> None:
    path = tmp_path / "teacher.onnx"
    export_model(teacher, ExportOptions({"image": InputShape((1, 1, 6, 6))})).artifact.save(path)
    options = replace(QUICK, pairs="auto", feature_weight=1.0, flip=True)
    report = distill(
        net(4, 0.0), OnnxTeacher(path), images, other_images, options, checkpoint=tmp_path / "s.safetensors"
    )
    assert report.evaluation_score > 0.8
    assert report.pairs[0].startswith("3:")
    assert report.teacher_top1_ratio > 0.8


def test_another_pair_is_another_training(net, teacher, images, other_images, tmp_path) -> None:
    path, options = tmp_path / "s.safetensors", replace(QUICK, epochs=1, pairs="2:2", feature_weight=1.0)
    distill(net(4), teacher, images, other_images, options, checkpoint=path)
    assert any(name.startswith("aids/") for name in load_file(resume_path(path)))
    other = replace(options, pairs="1:1")
    with pytest.raises(UsageError, match="another"):
        distill(net(4), teacher, images, other_images, other, checkpoint=path, resume=True)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"pairs": "2:nothing"}, "no layer 'nothing'"),
        ({"pairs": "5:2"}, "the ranks differ"),
        ({"pairs": "2"}, "is no pair"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(
    net, teacher, images, other_images, tmp_path, change, text
) -> None:
    options = replace(QUICK, feature_weight=1.0, **change)
    with pytest.raises(UsageError, match=text):
        distill(net(4), teacher, images, other_images, options, checkpoint=tmp_path / "s.safetensors")


def test_options_are_reported(net, teacher, images, other_images, tmp_path) -> None:
    options = replace(QUICK, epochs=1)
    report = distill(net(4), teacher, images, other_images, options, checkpoint=tmp_path / "s.safetensors")
    assert report.options == dataclasses.asdict(options)
