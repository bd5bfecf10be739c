"""Networks that teach each other: trained at the same time, none of them a teacher (Zhang et al. 2018)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional

from ..calib_data.data import CalibrationData
from ..core.errors import UsageError
from ..core.files import write_atomic
from .batches import Batch, Outputs, labels_of, read_samples
from .evaluation import evaluate_top1, predict
from .lesson import Lesson
from .loop import Progress, make_accelerator
from .losses import Objective, Terms, only, response_loss
from .modules import device_of, evaluating
from .options import MutualOptions
from .report import EpochRow, MutualReport, TrainReport
from .state import own
from .tasks import split, train_by


class Peers(nn.Module):
    """Networks side by side: the same inputs for each, a tuple of their outputs.

    Args:
        networks: Two or more.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The logits of each."""
        return tuple(only(network(*inputs)) for network in self.networks)


def distill_mutually(
    modules: Sequence[nn.Module],
    train: CalibrationData,
    evaluation: CalibrationData,
    options: MutualOptions | None = None,
    *,
    checkpoint: Path,
    resume: bool = False,
    progress: Progress | None = None,
) -> MutualReport:
    """Train classifiers at the same time, each on the labels and on the others' answers.

    Each one's loss is the cross-entropy with the labels and the mean over the others of ``KL(other || own)`` (Zhang et
    al. 2018, arXiv:1706.00384, section 3.2). All move in the same step, from answers to the same batch; the paper moves
    one after the other. The kept epoch is the one with the best mean.

    Args:
        modules: Two or more, as the module of :func:`train_supervised`; each holds its best weights at the end.
        train: Samples with labels.
        evaluation: Other samples with labels, looked at once, at the end.
        options: The options.
        checkpoint: Names the files: the weights of the first lie in ``stem.1.safetensors``, and so on; all together, in
            one file, under the name itself.
        resume: As in :func:`train_supervised`.
        progress: As in :func:`train_supervised`.

    Raises:
        DataError: Labels are missing.
        ExpectationError: The loss is not finite; epoch, step and samples are named.
        UsageError: There are fewer than two, one is there twice, they differ in their classes, or the interrupted run
            had other options, data or parameters.
    """
    options = options or MutualOptions()
    labels_of(evaluation, "evaluation")
    _check(modules, train)
    peers = Peers(modules)
    lesson = Lesson(exchange(options), mean_top1, "mean top1", about={"networks": str(len(modules))})
    together = train_by(
        lesson, peers, train, evaluation, options, checkpoint=checkpoint, resume=resume, progress=progress
    )
    accelerator = make_accelerator(options)
    if accelerator.is_main_process:
        for number, module in enumerate(modules, start=1):
            content = save({name: own(t) for name, t in module.state_dict().items()})
            write_atomic(peer_path(checkpoint, number), content)
    accelerator.wait_for_everyone()
    _, held_out = split(train, options)
    reports = tuple(
        _of_one(together, number, module, held_out, evaluation)
        for number, module in enumerate(modules, start=1)
    )
    classes = torch.stack([predict(module, evaluation) for module in modules])
    same = (classes == classes[0]).all(0).double().mean()
    return MutualReport(together, reports, float(same))


def peer_path(checkpoint: Path, number: int) -> Path:
    """The file of one network's weights.

    Args:
        checkpoint: The name given for all.
        number: Which network, from 1.
    """
    return checkpoint.with_name(f"{checkpoint.stem}.{number}.safetensors")


def exchange(options: MutualOptions) -> Objective:
    """The objective of networks that teach each other: terms ``labels 1``, ``peers 1`` and so on for each.

    Args:
        options: Temperature, and the weight of the others' answers.
    """

    def terms(outputs: Outputs, batch: Batch) -> Terms:
        assert batch.labels is not None
        found: Terms = {}
        for number, logits in enumerate(outputs, start=1):
            found[f"labels {number}"] = functional.cross_entropy(
                logits, batch.labels, label_smoothing=options.label_smoothing
            )
            if options.peer_weight:
                others = [o.detach() for i, o in enumerate(outputs, start=1) if i != number]
                taught = torch.stack([response_loss(logits, o, options.temperature) for o in others]).mean()
                found[f"peers {number}"] = options.peer_weight * taught
        return found

    return terms


def mean_top1(module: nn.Module, data: CalibrationData) -> float:
    """The mean over the networks of :class:`Peers` of the share of samples that are right, in 0..1."""
    assert isinstance(module, Peers)
    return sum(evaluate_top1(network, data) for network in module.networks) / len(module.networks)


def _of_one(
    together: TrainReport,
    number: int,
    module: nn.Module,
    held_out: CalibrationData,
    evaluation: CalibrationData,
) -> TrainReport:
    """The report of one network: its own figures, losses and parameters."""
    validation, final = evaluate_top1(module, held_out), evaluate_top1(module, evaluation)
    return dataclasses.replace(
        together,
        history=tuple(_row_of(row, number) for row in together.history),
        metric="top1",
        validation_score=validation,
        evaluation_score=final,
        validation_top1_ratio=validation,
        evaluation_top1_ratio=final,
        params=sum(p.numel() for p in module.parameters() if p.requires_grad),
    )


def _row_of(row: EpochRow, number: int) -> EpochRow:
    """An epoch with the losses of one network; what was judged is the mean over all."""
    own_terms = {
        name.rpartition(" ")[0]: value
        for name, value in row.losses.items()
        if name.rpartition(" ")[2] == str(number)
    }
    return dataclasses.replace(row, losses={"total": sum(own_terms.values()), **own_terms})


def _check(modules: Sequence[nn.Module], data: CalibrationData) -> None:
    if len(modules) < 2 or len({id(module) for module in modules}) < len(modules):
        raise UsageError(
            f"{len({id(m) for m in modules})} different networks are given",
            remedy="give two or more, each once",
        )
    shapes = []
    for module in modules:
        inputs = tuple(t.to(device_of(module)) for t in read_samples(data, [0]))
        with evaluating(module), torch.no_grad():
            shapes.append(tuple(only(module(*inputs)).shape))
    if len(set(shapes)) > 1:
        raise UsageError(
            f"the networks give {', '.join(map(str, shapes))} for one sample",
            remedy="give all the same classes",
        )
