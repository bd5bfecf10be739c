"""Training and distilling torch modules, and teaching a small one from a large one.

Importing this package loads neither torch nor accelerate; using what needs them does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.lazy import TORCH_EXTRA, load_name
from .options import DistillOptions, MutualOptions, TrainOptions
from .report import DistillReport, EpochRow, MutualReport, TrainReport
from .schedule import SCHEDULES, rate_factor

if TYPE_CHECKING:
    from .curves import curves_path
    from .distillation import distill
    from .evaluation import evaluate_top1, predict
    from .layers import LayerPair, propose_pairs
    from .lesson import Lesson, StepHook
    from .loop import meet_processes
    from .modules import make_module
    from .mutual import distill_mutually, peer_path
    from .onnx_teacher import OnnxTeacher
    from .state import resume_path
    from .tasks import train_by, train_supervised

__all__ = [
    "SCHEDULES",
    "DistillOptions",
    "DistillReport",
    "EpochRow",
    "LayerPair",
    "Lesson",
    "MutualOptions",
    "MutualReport",
    "OnnxTeacher",
    "StepHook",
    "TrainOptions",
    "TrainReport",
    "curves_path",
    "distill",
    "distill_mutually",
    "evaluate_top1",
    "make_module",
    "meet_processes",
    "peer_path",
    "predict",
    "propose_pairs",
    "rate_factor",
    "resume_path",
    "train_by",
    "train_supervised",
]

_LAZY = {
    "LayerPair": "layers",
    "Lesson": "lesson",
    "OnnxTeacher": "onnx_teacher",
    "StepHook": "lesson",
    "curves_path": "curves",
    "distill": "distillation",
    "distill_mutually": "mutual",
    "evaluate_top1": "evaluation",
    "make_module": "modules",
    "meet_processes": "loop",
    "peer_path": "mutual",
    "predict": "evaluation",
    "propose_pairs": "layers",
    "resume_path": "state",
    "train_by": "tasks",
    "train_supervised": "tasks",
}


def __getattr__(name: str) -> Any:
    """Load what needs torch when it is asked for.

    Raises:
        AttributeError: There is no such name.
        MissingExtraError: An optional package is not installed.
    """
    return load_name(__name__, _LAZY, name, optional=TORCH_EXTRA)
