"""Relations: distances and angles between samples are to be as the teacher sees them, in a room of any width."""

from __future__ import annotations

from sardonyx.training import DistillOptions, distill
from school import QUICK, TEST, TRAIN, fresh_student, place, show, trained_teacher

if __name__ == "__main__":
    options = DistillOptions(
        **QUICK, teacher_weight=0.5, pairs="pool:pool", distance_weight=1.0, angle_weight=2.0
    )
    report = distill(fresh_student(), trained_teacher(), TRAIN, TEST, options, checkpoint=place("relations"))
    show("relations", report)
