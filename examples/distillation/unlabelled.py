"""Without labels, and with an ONNX file as the teacher: it needs no torch source, and judges the student itself."""

from __future__ import annotations

from dataclasses import replace

import sardonyx as sx
from sardonyx.training import DistillOptions, OnnxTeacher, distill
from school import FOLDER, QUICK, TEST, TRAIN, fresh_student, place, show, trained_teacher

if __name__ == "__main__":
    exported = sx.export(trained_teacher(), inputs=["image=1x1x8x8"])
    path = FOLDER / "teacher.onnx"
    exported.model.save(path, force=True)
    images, others = (replace(data, all_labels=None) for data in (TRAIN, TEST))
    options = DistillOptions(**QUICK, teacher_weight=1.0)
    report = distill(
        fresh_student(), OnnxTeacher(path), images, others, options, checkpoint=place("unlabelled")
    )
    show("an ONNX teacher, no labels", report)
