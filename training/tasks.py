"""Training from labels, and teaching a student: one loop, two losses."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from ..calib_data.data import CalibrationData
from ..core.errors import DataError, UsageError
from ..core.files import write_atomic
from .batches import labels_of, read_samples
from .evaluation import evaluate_top1, predict
from .loop import Progress, Setting, choose_precision, make_accelerator, run_loop
from .losses import Objective, imitation, supervised
from .modules import device_of, evaluating
from .options import DistillOptions, TrainOptions
from .report import DistillReport, TrainReport
from .state import TrainState, own, resume_path


def train_supervised(
    module: nn.Module,
    train: CalibrationData,
    evaluation: CalibrationData,
    options: TrainOptions | None = None,
    *,
    checkpoint: Path,
    resume: bool = False,
    progress: Progress | None = None,
) -> TrainReport:
    """Train a classifier from labels.

    The same seed, machine and number of threads give the same weights, also where the run was interrupted
    between two epochs and taken up again. Every process of a distributed run sees ``checkpoint``'s folder.

    Args:
        module: From the data's inputs, in order, to logits of shape ``(batch, classes)``. Holds the best
            weights at the end.
        train: Samples with labels; a part is held out to choose the best epoch.
        evaluation: Other samples with labels, looked at once, at the end.
        options: The options.
        checkpoint: Written at the end: the best weights, safetensors. Beside it lies, after every epoch, what
            is needed to resume (:func:`~sardonyx.training.state.resume_path`).
        resume: Take up an interrupted run; where there is none, start.
        progress: Told the steps done and the steps in all.

    Raises:
        DataError: Labels are missing.
        ExpectationError: The loss is not finite; epoch, step and samples are named.
        UsageError: The interrupted run had other options, data or parameters.
    """
    options = options or TrainOptions()
    objective = supervised(options.label_smoothing)
    return _train(module, train, evaluation, options, objective, checkpoint, resume, progress, {})


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
    """Teach a student with a trained teacher's answers and the labels (Hinton et al. 2015, arXiv:1503.02531).

    Args:
        student: As the module of :func:`train_supervised`.
        teacher: Takes the same inputs and knows the same classes; left as it is.
        train: Samples with labels.
        evaluation: Other samples with labels, looked at once, at the end.
        options: The options.
        checkpoint: As in :func:`train_supervised`.
        resume: As in :func:`train_supervised`.
        progress: As in :func:`train_supervised`.

    Raises:
        DataError: Labels are missing, or the teacher's outputs are not finite logits.
        ExpectationError: The loss is not finite; epoch, step and samples are named.
        UsageError: Student and teacher differ in classes, or the interrupted run in options, data or parameters.
    """
    options = options or DistillOptions()
    device = make_accelerator(options).device
    home = device_of(teacher)
    teacher.to(device)
    try:
        _check_classes(student, teacher, train)
        with evaluating(teacher):
            objective = imitation(
                teacher,
                temperature=options.temperature,
                teacher_weight=options.teacher_weight,
                label_smoothing=options.label_smoothing,
            )
            about = {"teacher": _digest(teacher)}
            report = _train(
                student, train, evaluation, options, objective, checkpoint, resume, progress, about
            )
        answers = predict(teacher, evaluation)
    finally:
        teacher.to(home)
    right = answers == labels_of(evaluation, "evaluation")
    same = answers == predict(student, evaluation)
    fields = {f.name: getattr(report, f.name) for f in dataclasses.fields(report)}
    return DistillReport(**fields, teacher_top1_ratio=_share(right), agreement_ratio=_share(same))


def _train(
    module: nn.Module,
    train: CalibrationData,
    evaluation: CalibrationData,
    options: TrainOptions,
    objective: Objective,
    checkpoint: Path,
    resume: bool,
    progress: Progress | None,
    about: dict[str, str],
) -> TrainReport:
    labels_of(train, "training")
    labels_of(evaluation, "evaluation")
    accelerator = make_accelerator(options)
    fit, held_out = _split(train, options)
    precision = choose_precision(options, accelerator.device)
    setting = Setting(fit, held_out, options, objective, accelerator, precision)
    identity = _identity(module, train, setting) | about
    state = _state(resume_path(checkpoint), identity, resume)
    resumed, home = len(state.history), device_of(module)
    module.to(accelerator.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    try:
        run_loop(module, setting, state, checkpoint, progress)
    finally:
        module.to(home).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    if accelerator.is_main_process:
        write_atomic(checkpoint, save(state.best_weights))
    accelerator.wait_for_everyone()
    return _report(module, setting, state, evaluation, resumed, str(identity["data"]))


def _split(train: CalibrationData, options: TrainOptions) -> tuple[CalibrationData, CalibrationData]:
    if len(train) < 2:
        raise DataError("one sample cannot be split", remedy="give more training samples")
    return train.split(options.validation_ratio, seed=options.seed)


def _identity(module: nn.Module, train: CalibrationData, setting: Setting) -> dict[str, Any]:
    """What makes one training another one."""
    return {
        "options": dataclasses.asdict(setting.options),
        "data": train.fingerprint,
        "number of processes": setting.accelerator.num_processes,
        "precision": setting.precision,
        "module": [[name, list(t.shape), str(t.dtype)] for name, t in module.state_dict().items()],
    }


def _state(path: Path, identity: dict[str, Any], resume: bool) -> TrainState:
    return TrainState.load(path, identity) if resume and path.exists() else TrainState(identity)


def _report(
    module: nn.Module,
    setting: Setting,
    state: TrainState,
    evaluation: CalibrationData,
    resumed: int,
    data_sha256: str,
) -> TrainReport:
    return TrainReport(
        history=tuple(state.history),
        best_epoch=state.best_epoch,
        validation_top1_ratio=state.best_top1_ratio,
        evaluation_top1_ratio=evaluate_top1(module, evaluation),
        train_samples=len(setting.train),
        validation_samples=len(setting.held_out),
        evaluation_samples=len(evaluation),
        params=sum(p.numel() for p in module.parameters() if p.requires_grad),
        precision=setting.precision,
        device=str(setting.accelerator.device),
        processes=int(setting.accelerator.num_processes),
        resumed_epochs=resumed,
        seconds=sum(row.seconds for row in state.history),
        data_sha256=data_sha256,
        options=dataclasses.asdict(setting.options),
    )


def _check_classes(student: nn.Module, teacher: nn.Module, data: CalibrationData) -> None:
    """Refuse a pair whose logits cannot be compared, before any time is spent."""
    shapes = []
    for module in (student, teacher):
        with evaluating(module), torch.no_grad():
            shapes.append(tuple(module(*(t.to(device_of(module)) for t in read_samples(data, [0]))).shape))
    if shapes[0] != shapes[1]:
        raise UsageError(
            f"the student gives {shapes[0]} for one sample, the teacher {shapes[1]}",
            remedy="give both the same classes",
        )


def _digest(module: nn.Module) -> str:
    """SHA-256 of a module's weights."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(own(tensor).numpy().tobytes())
    return digest.hexdigest()


def _share(hits: torch.Tensor) -> float:
    return float(hits.double().mean())
