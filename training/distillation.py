"""Teaching a student: by a teacher's outputs, its layers, and the relations it sees between samples."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..calib_data.data import CalibrationData
from ..core.errors import DataError, UsageError
from .answers import Kept, Live, Teaching, keep_answers
from .augmentation import is_augmented
from .batches import Inputs, labels_of, read_samples, targets_of
from .evaluation import Likeness, agreement, alike, explained, outputs_of, right
from .imitation import Imitation
from .layers import LayerPair, parse_pairs, propose_pairs, with_layers
from .lesson import LabelReader, Lesson
from .loop import Progress, make_accelerator
from .losses import only
from .matching import Match
from .modules import device_of, evaluating, make_module
from .options import DistillOptions, Task
from .report import DistillReport, TrainReport, extended
from .state import own
from .tasks import split, train_by


def distill(
    student: nn.Module,
    teacher: nn.Module,
    train: CalibrationData,
    evaluation: CalibrationData,
    options: DistillOptions | None = None,
    *,
    checkpoint: Path,
    resume: bool = False,
    progress: Progress | None = None,
) -> DistillReport:
    """Teach a student with a trained teacher's answers and, where there are any, the labels.

    Args:
        student: As the module of :func:`train_supervised`; for ``regression`` and ``embedding`` its output is of any
            shape ``(batch, ...)``.
        teacher: Takes the same inputs and gives outputs of the same shape; left as it is. A module, or a graph
            (:class:`~sardonyx.training.OnnxTeacher`).
        train: Samples; with labels, unless ``teacher_weight`` is 1 or the outputs are embeddings.
        evaluation: Other samples, looked at once, at the end. Where these or the others have no labels, the student is
            judged by how much it does what the teacher does.
        options: The options.
        checkpoint: As in :func:`train_supervised`.
        resume: As in :func:`train_supervised`.
        progress: As in :func:`train_supervised`.

    Raises:
        DataError: Labels are missing, or the teacher's outputs are not finite.
        ExpectationError: The loss is not finite; epoch, step and samples are named.
        UsageError: Student and teacher differ in their outputs, a pair of layers cannot be compared, or the interrupted
            run had other options, data or parameters.
    """
    options = options or DistillOptions()
    read_labels = _label_reader(options)
    if read_labels is not None:
        read_labels(train, "training")
    device, home = make_accelerator(options).device, device_of(teacher)
    teacher.to(device)
    try:
        _check_outputs(student, teacher, train)
        with evaluating(teacher):
            course = _course(student, teacher, train, evaluation, options)
            report = train_by(
                course.lesson,
                student,
                train,
                evaluation,
                options,
                checkpoint=checkpoint,
                resume=resume,
                progress=progress,
            )
            return _with_teacher(report, student, course, evaluation, options)
    finally:
        teacher.to(home)


class _Answers:
    """The teacher's outputs for samples that it is not asked about in training; computed once.

    Args:
        teacher: In evaluation mode.
        digest: Says which teacher it is.
        options: Whether answers may be kept on disk.
    """

    def __init__(self, teacher: nn.Module, digest: str, options: DistillOptions) -> None:
        self.live = Live(teacher)
        self.digest = digest
        self.options = options
        self._known: list[tuple[CalibrationData, torch.Tensor]] = []

    def __call__(self, data: CalibrationData) -> torch.Tensor:
        """The outputs, shape ``(samples, ...)``."""
        for known, outputs in self._known:
            if known is data:
                return outputs
        self._known.append((data, self._computed(data)))
        return self._known[-1][1]

    def _computed(self, data: CalibrationData) -> torch.Tensor:
        kept = None
        if self.options.cache:
            accelerator = make_accelerator(self.options)
            kept = keep_answers(self.live, self.digest, data, data.fingerprint, accelerator)
        return outputs_of(self.live.teacher, data) if kept is None else kept.outputs


@dataclass(frozen=True)
class _Course:
    """A lesson, and what is to be said of it.

    Attributes:
        lesson: The lesson.
        judge: Its judge.
        answers: The teacher's outputs for samples.
        pairs: The layers compared.
        notes: What was decided.
    """

    lesson: Lesson
    judge: Likeness
    answers: _Answers
    pairs: tuple[LayerPair, ...]
    notes: tuple[str, ...]


def _course(
    student: nn.Module,
    teacher: nn.Module,
    train: CalibrationData,
    evaluation: CalibrationData,
    options: DistillOptions,
) -> _Course:
    """Prepare the lesson."""
    pairs = _pairs(student, teacher, train, options)
    aids = make_module(lambda: _matches(student, teacher, train, pairs, options), options.seed)
    digest = _digest(teacher)
    teaching, note = _teaching(teacher, digest, train, pairs, options)
    answers = _Answers(teacher, digest, options)
    judge = _judge(train, evaluation, options, answers)
    lesson = Lesson(
        Imitation(options, teaching, [m for m in aids.children() if isinstance(m, Match)]),
        judge,
        judge.metric,
        read_labels=_label_reader(options),
        layers=tuple(dict.fromkeys(pair.student for pair in pairs)),
        aids=aids,
        about={"teacher": digest, "pairs": " ".join(map(str, pairs))},
    )
    return _Course(lesson, judge, answers, pairs, (note,))


def _label_reader(options: DistillOptions) -> LabelReader | None:
    if not options.needs_labels:
        return None
    reader = labels_of if options.task == "classification" else targets_of

    def read(data: CalibrationData, what: str) -> torch.Tensor:
        if data.labels is None:
            raise DataError(
                f"the {what} samples have no labels", remedy="give data with labels, or a teacher_weight of 1"
            )
        return reader(data, what)

    return read


def _judge(
    train: CalibrationData, evaluation: CalibrationData, options: DistillOptions, answers: _Answers
) -> Likeness:
    """Against labels where all samples have them, against the teacher otherwise."""
    if options.task == "embedding" or train.labels is None or evaluation.labels is None:
        return Likeness(*_BY_TEACHER[options.task], answers)
    if options.task == "classification":
        return Likeness("top1", right, lambda data: labels_of(data, "evaluation"))
    return Likeness("r2", explained, lambda data: targets_of(data, "evaluation"))


def _teaching(
    teacher: nn.Module,
    digest: str,
    train: CalibrationData,
    pairs: tuple[LayerPair, ...],
    options: DistillOptions,
) -> tuple[Teaching, str]:
    """Where the teacher's answers come from, and that in a sentence."""
    live = Live(teacher, [pair.teacher for pair in pairs])
    if is_augmented(options):
        return live, "the teacher answers for every batch: augmentation makes each one new"
    if not options.cache or options.epochs == 1:
        return live, "the teacher answers for every batch"
    fit, _ = split(train, options)
    key = f"{train.fingerprint} {options.validation_ratio} {options.seed}"
    kept: Kept | None = keep_answers(live, digest, fit, key, make_accelerator(options))
    if kept is None:
        return live, "the teacher answers for every batch: its answers are too large to be kept"
    when = "by an earlier run" if kept.is_reused else "once"
    return kept, f"the teacher's answers for {len(fit)} training samples were computed {when}"


def _pairs(
    student: nn.Module, teacher: nn.Module, train: CalibrationData, options: DistillOptions
) -> tuple[LayerPair, ...]:
    if options.pairs.strip() != "auto":
        return parse_pairs(options.pairs)
    return propose_pairs(student, teacher, read_samples(train, [0]))


def _matches(
    student: nn.Module,
    teacher: nn.Module,
    train: CalibrationData,
    pairs: tuple[LayerPair, ...],
    options: DistillOptions,
) -> nn.Module:
    """How each pair is compared; where only relations are, unequal shapes do not matter."""
    shapes = []
    for module, names in ((student, [p.student for p in pairs]), (teacher, [p.teacher for p in pairs])):
        with evaluating(module), torch.no_grad():
            _, values = with_layers(module, _sample(module, train), names)
        shapes.append([tuple(values[name].shape) for name in names])
    adapter = options.adapter if options.feature_weight else "pool"
    loss = options.feature_loss if options.feature_weight else "cosine"
    return nn.ModuleList(
        Match(pair, both, loss=loss, adapter=adapter)
        for pair, both in zip(pairs, zip(*shapes, strict=True), strict=True)
    )


def _check_outputs(student: nn.Module, teacher: nn.Module, data: CalibrationData) -> None:
    """Refuse a pair whose outputs cannot be compared, before any time is spent."""
    shapes = []
    for module in (student, teacher):
        with evaluating(module), torch.no_grad():
            shapes.append(tuple(only(module(*_sample(module, data))).shape))
    if shapes[0] != shapes[1]:
        raise UsageError(
            f"the student gives {shapes[0]} for one sample, the teacher {shapes[1]}",
            remedy="give both the same classes",
        )


def _with_teacher(
    report: TrainReport,
    student: nn.Module,
    course: _Course,
    evaluation: CalibrationData,
    options: DistillOptions,
) -> DistillReport:
    """Add what the teacher reaches, and how much the student does the same."""
    wanted, same = course.answers(evaluation), None
    if options.task == "classification":
        same = agreement(outputs_of(student, evaluation), wanted)
    score = course.judge.of(wanted, evaluation)
    return extended(
        report,
        DistillReport,
        teacher_score=score,
        teacher_top1_ratio=score if report.metric == "top1" else None,
        agreement_ratio=same,
        pairs=tuple(map(str, course.pairs)),
        notes=course.notes,
    )


def _sample(module: nn.Module, data: CalibrationData) -> Inputs:
    return tuple(t.to(device_of(module)) for t in read_samples(data, [0]))


def _digest(module: nn.Module) -> str:
    """SHA-256 of a module's weights."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(
            own(tensor).view(torch.uint8).numpy().tobytes() if tensor.ndim else str(tensor.item()).encode()
        )
    return digest.hexdigest()


_BY_TEACHER: dict[Task, tuple[str, Callable[[torch.Tensor, torch.Tensor], float]]] = {
    "classification": ("agreement", agreement),
    "regression": ("r2", explained),
    "embedding": ("cosine", alike),
}
