"""Response: the student imitates the teacher's softened distribution, and keeps to the labels."""

from __future__ import annotations

from sardonyx.training import DistillOptions, distill
from school import QUICK, TEST, TRAIN, fresh_student, place, show, trained_teacher

if __name__ == "__main__":
    options = DistillOptions(**QUICK, temperature=4.0, teacher_weight=0.9)
    report = distill(fresh_student(), trained_teacher(), TRAIN, TEST, options, checkpoint=place("response"))
    show("response", report)
