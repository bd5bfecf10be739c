"""What the examples share: the digits, a trained teacher, and a place for the weights."""

from __future__ import annotations

from pathlib import Path

import sardonyx as sx
from networks import student, teacher
from sardonyx.exporter import load_weights
from sardonyx.training import DistillReport, TrainOptions, make_module, train_supervised
from torch import nn

FOLDER = Path("out/distillation")
TRAIN = sx.open_data("digits:train")
TEST = sx.open_data("digits:test")
QUICK = {"epochs": 8, "batch_size": 64, "validation_ratio": 0.1, "precision": "fp32"}


def place(name: str) -> Path:
    """Where the weights of a network go."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    return FOLDER / f"{name}.safetensors"


def trained_teacher() -> nn.Module:
    """The teacher with what it has learned; trained by the first example that asks."""
    module, path = make_module(teacher, seed=0), place("teacher")
    if path.exists():
        load_weights(module, path)
    else:
        train_supervised(module, TRAIN, TEST, TrainOptions(**QUICK), checkpoint=path)
    return module.eval()


def fresh_student(outputs: int = 10) -> nn.Module:
    """The student before its first lesson."""
    return make_module(lambda: student(outputs), seed=0)


def show(form: str, report: DistillReport) -> None:
    """One line: what was taught how, and what came of it."""
    terms = ", ".join(name for name in report.history[0].losses if name != "total")
    print(
        f"{form} ({terms}): {report.metric} {report.evaluation_score:.3f}, teacher {report.teacher_score:.3f}"
    )
    print(*report.pairs, *report.notes, sep="\n")
