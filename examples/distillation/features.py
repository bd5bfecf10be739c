"""Features: the student's layers are compared with the teacher's, by name or paired by their sizes."""

from __future__ import annotations

from sardonyx.training import DistillOptions, distill, propose_pairs
from sardonyx.training.batches import read_samples
from school import QUICK, TEST, TRAIN, fresh_student, place, show, trained_teacher

WAYS = {
    "a regressor and the squared error": {"feature_loss": "mse", "pairs": "third:third"},
    "the cosine of the flattened values": {"feature_loss": "cosine", "pairs": "third:third"},
    "attention maps of every stage": {"feature_loss": "attention", "pairs": "auto", "feature_weight": 100.0},
}

if __name__ == "__main__":
    teacher = trained_teacher()
    print("proposed:", *propose_pairs(fresh_student(), teacher, read_samples(TRAIN, [0])))
    for way, change in WAYS.items():
        options = DistillOptions(**{**QUICK, "teacher_weight": 0.5, "feature_weight": 1.0, **change})
        report = distill(fresh_student(), teacher, TRAIN, TEST, options, checkpoint=place("features"))
        show(way, report)
