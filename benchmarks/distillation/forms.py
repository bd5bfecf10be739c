"""The rows of the table: what teaches the student, and with which weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ALONE = "student without teacher"
MUTUAL = "two students, each the other's"
FEW_ALONE = "student without teacher, few labels"
FEW_TAUGHT = "the teacher's answers to all images, no labels"


@dataclass(frozen=True)
class Form:
    """A way to teach the student.

    Attributes:
        name: What the row is called.
        options: What is asked for, besides what all rows share.
        remark: The weights, for the table.
    """

    name: str
    options: Mapping[str, Any]
    remark: str


_LAYERS = {"pairs": "features:features"}
LECTURE = (
    Form("cross-entropy + KD", {"temperature": 2.0, "teacher_weight": 0.25}, "T 2, KD 0.25, labels 0.75"),
    Form(
        "cross-entropy + cosine",
        {**_LAYERS, "teacher_weight": 0.0, "feature_loss": "cosine", "feature_weight": 1 / 3},
        "cosine of the flattened feature maps, a third of the labels' weight",
    ),
    Form(
        "cross-entropy + regressor MSE",
        {**_LAYERS, "teacher_weight": 0.0, "feature_loss": "mse", "feature_weight": 1 / 3},
        "feature maps through a 1x1 convolution, a third of the labels' weight",
    ),
)
"""The losses and weights of the lecture's table."""

OURS = (
    Form(
        "KD, more of it", {"temperature": 4.0, "teacher_weight": 0.9}, "T 4, KD 0.9, labels 0.1: the defaults"
    ),
    Form(
        "feature + response",
        {**_LAYERS, "temperature": 4.0, "teacher_weight": 0.9, "feature_weight": 1.0},
        "the row above, and the regressor's MSE with weight 1",
    ),
    Form(
        "attention + response",
        {
            **_LAYERS,
            "temperature": 4.0,
            "teacher_weight": 0.9,
            "feature_loss": "attention",
            "feature_weight": 100.0,
        },
        "T 4, KD 0.9, attention maps with weight 100",
    ),
    Form(
        "relations + response",
        {
            **_LAYERS,
            "temperature": 4.0,
            "teacher_weight": 0.9,
            "distance_weight": 1.0,
            "angle_weight": 2.0,
        },
        "T 4, KD 0.9, distances 1 and angles 2 of the feature maps",
    ),
)
"""Rows of our own."""

BY_ANSWERS = Form(
    FEW_TAUGHT, {"temperature": 4.0, "teacher_weight": 1.0}, "T 4, KD alone; the teacher has seen all labels"
)
"""The student of a teacher who knows more than there are labels for."""
