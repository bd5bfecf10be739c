"""Training by a lesson, of which the plainest is to train from labels."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from ..calib_data.data import CalibrationData
from ..core.errors import DataError, UsageError
from ..core.files import write_atomic
from .batches import labels_of
from .lesson import Lesson
from .loop import Progress, Setting, choose_precision, make_accelerator, run_loop
from .losses import supervised
from .modules import device_of
from .options import TrainOptions
from .report import TrainReport
from .state import TrainState, resume_path

_HARMLESS = frozenset({"tensorboard"})
"""Options that change no weight."""


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
        checkpoint: Written at the end: the best weights, safetensors. Beside it lie, after every epoch, what
            is needed to resume (:func:`~sardonyx.training.state.resume_path`) and the curves so far
            (:func:`~sardonyx.training.curves.curves_path`).
        resume: Take up an interrupted run; where there is none, start.
        progress: Told the steps done and the steps in all.

    Raises:
        DataError: Labels are missing.
        ExpectationError: The loss is not finite; epoch, step and samples are named.
        UsageError: The interrupted run had other options, data or parameters.
    """
    options = options or TrainOptions()
    labels_of(evaluation, "evaluation")
    lesson = Lesson(supervised(options.label_smoothing))
    return train_by(
        lesson, module, train, evaluation, options, checkpoint=checkpoint, resume=resume, progress=progress
    )


def train_by(
    lesson: Lesson,
    module: nn.Module,
    train: CalibrationData,
    evaluation: CalibrationData,
    options: TrainOptions,
    *,
    checkpoint: Path,
    resume: bool = False,
    progress: Progress | None = None,
) -> TrainReport:
    """Train by a lesson; :func:`train_supervised` and :func:`~sardonyx.training.distill` are two of them.

    Args:
        lesson: What is minimised, who judges, and who works at every step.
        module: Takes the data's inputs, in order. Holds the best weights at the end.
        train: Samples; a part is held out to choose the best epoch.
        evaluation: Other samples, judged once, at the end.
        options: The options.
        checkpoint: As in :func:`train_supervised`.
        resume: As in :func:`train_supervised`.
        progress: As in :func:`train_supervised`.

    Raises:
        DataError: Labels that the lesson needs are missing.
        ExpectationError: The loss is not finite; epoch, step and samples are named.
        MissingExtraError: TensorBoard is asked for, and is not installed.
        UsageError: The interrupted run had other options, data or parameters, or no epoch's weights may be kept.
    """
    if lesson.read_labels is not None:
        lesson.read_labels(train, "training")
    if lesson.first_epoch > options.epochs:
        raise UsageError(
            f"weights may be kept from epoch {lesson.first_epoch} on, and there are {options.epochs}",
            remedy="give more epochs, or a schedule that ends earlier",
        )
    accelerator = make_accelerator(options)
    fit, held_out = split(train, options)
    precision = choose_precision(options, accelerator.device)
    setting = Setting(fit, held_out, options, lesson, accelerator, precision)
    identity = _identity(module, train, setting)
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


def split(train: CalibrationData, options: TrainOptions) -> tuple[CalibrationData, CalibrationData]:
    """The samples trained on, and those held out.

    Raises:
        DataError: There is one sample only.
    """
    if len(train) < 2:
        raise DataError("one sample cannot be split", remedy="give more training samples")
    return train.split(options.validation_ratio, seed=options.seed)


def _identity(module: nn.Module, train: CalibrationData, setting: Setting) -> dict[str, Any]:
    """What makes one training another one."""
    lesson = setting.lesson
    return {
        "options": {k: v for k, v in dataclasses.asdict(setting.options).items() if k not in _HARMLESS},
        "data": train.fingerprint,
        "number of processes": setting.accelerator.num_processes,
        "precision": setting.precision,
        "metric": lesson.metric,
        "module": _shapes(module),
        "aids": _shapes(lesson.aids),
        "hooks": [type(hook).__name__ for hook in lesson.hooks],
        **lesson.about,
    }


def _shapes(module: nn.Module) -> list[Any]:
    return [[name, list(t.shape), str(t.dtype)] for name, t in module.state_dict().items()]


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
    metric, judge = setting.lesson.metric, setting.lesson.judge
    score = judge(module, evaluation)
    is_top1 = metric == "top1"
    return TrainReport(
        history=tuple(state.history),
        best_epoch=state.best_epoch,
        metric=metric,
        validation_score=state.best_score,
        evaluation_score=score,
        validation_top1_ratio=state.best_score if is_top1 else None,
        evaluation_top1_ratio=score if is_top1 else None,
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
        stopped_early=len(state.history) < setting.options.epochs,
    )
