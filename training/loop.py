"""The one training loop; what is minimised, and who judges, is handed in."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import nn

from ..calib_data.data import CalibrationData
from ..core.errors import ExpectationError, UsageError
from ..core.targets import cpu_flags
from .augmentation import augment
from .batches import Batch, Inputs, Outputs, epoch_order, generator_for, read_samples
from .curves import Curves
from .layers import Values, with_layers
from .lesson import Lesson
from .options import TrainOptions
from .report import EpochRow
from .schedule import rate_factor
from .state import TrainState, own, resume_path

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""

Positions: TypeAlias = npt.NDArray[np.int64]
"""Which samples, shape ``(batch,)``."""

_AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Setting:
    """What stays the same throughout a training.

    Attributes:
        train: The samples trained on.
        held_out: The samples that choose the best epoch.
        options: The options.
        lesson: What is minimised, who judges, and who works at every step.
        accelerator: Where it runs, and with whom.
        precision: ``fp32``, ``bf16`` or ``fp16``.
    """

    train: CalibrationData
    held_out: CalibrationData
    options: TrainOptions
    lesson: Lesson
    accelerator: Accelerator
    precision: str

    @property
    def share(self) -> int:
        """Samples of one step in each process: as many as a graph insists on, where it does."""
        wished = min(self.options.batch_size, len(self.train)) // int(self.accelerator.num_processes)
        return self.train.batch_size_for(wished)

    @property
    def steps(self) -> int:
        """Steps of one epoch; samples that fill no whole batch wait for another epoch's order."""
        return len(self.train) // (self.share * int(self.accelerator.num_processes))

    @property
    def total(self) -> int:
        """Steps of the whole training."""
        return self.options.epochs * self.steps


class Trained(nn.Module):
    """A module and what is trained along with it, so that processes share the gradients of both.

    Args:
        module: What is trained.
        aids: What is trained along.
        layers: Layers of the module that are looked at.
    """

    def __init__(self, module: nn.Module, aids: nn.Module, layers: Sequence[str] = ()) -> None:
        super().__init__()
        self.module = module
        self.aids = aids
        self.layers = tuple(layers)
        self.values: Values = {}

    def forward(self, *inputs: torch.Tensor) -> Outputs:
        """What the module gives; what its layers gave stays in ``values``."""
        outputs, self.values = with_layers(self.module, inputs, self.layers)
        return outputs

    def taken_values(self) -> Values:
        """What the layers gave in the latest pass, and no longer here."""
        values, self.values = self.values, {}
        return values


@dataclass(frozen=True)
class _Engine:
    """What moves weights.

    Attributes:
        trained: The module as it was handed in, and what is trained along.
        shared: The same as it runs, with the other processes.
        optimizer: The optimizer.
        scaler: Scales the loss in fp16.
        labels: A row for each training sample, or None.
        setting: What stays the same.
    """

    trained: Trained
    shared: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    labels: torch.Tensor | None
    setting: Setting

    @classmethod
    def start(cls, module: nn.Module, setting: Setting, state: TrainState) -> _Engine:
        """Begin where the state says."""
        lesson, device = setting.lesson, setting.accelerator.device
        both = Trained(module, lesson.aids, lesson.layers).to(device)
        optimizer = make_optimizer(both, setting.options)
        scaler = torch.amp.GradScaler(device.type, enabled=setting.precision == "fp16")
        if state.history:
            module.load_state_dict(state.weights)
            lesson.aids.load_state_dict(state.aids)
            optimizer.load_state_dict(state.optimizer)
            scaler.load_state_dict(state.scaler)
            for hook, kept in zip(lesson.hooks, state.hooks, strict=True):
                hook.load(kept)
        labels = None if lesson.read_labels is None else lesson.read_labels(setting.train, "training")
        return cls(both, setting.accelerator.prepare(both), optimizer, scaler, labels, setting)

    @property
    def module(self) -> nn.Module:
        """The module as it was handed in."""
        return self.trained.module

    def keep(self, state: TrainState) -> None:
        """Bring a state up to date."""
        lesson = self.setting.lesson
        state.weights = {name: own(t) for name, t in self.module.state_dict().items()}
        state.aids = {name: own(t) for name, t in lesson.aids.state_dict().items()}
        state.optimizer = self.optimizer.state_dict()
        state.scaler = self.scaler.state_dict()
        state.hooks = tuple({name: own(t) for name, t in hook.state().items()} for hook in lesson.hooks)


def make_accelerator(options: TrainOptions) -> Accelerator:
    """One process, or however many ``torchrun`` or ``accelerate launch`` started.

    Raises:
        UsageError: The batch does not divide among the processes.
    """
    accelerator = join_processes()
    if options.batch_size % accelerator.num_processes:
        raise UsageError(
            f"batch_size {options.batch_size} does not divide among {accelerator.num_processes} processes",
            remedy="choose a multiple of the number of processes",
        )
    return accelerator


def join_processes() -> Accelerator:
    """This process among those that share the work, as far as they know each other."""
    # Autocast is ours, so that no state outlives a training. Without cpu=True, processes on CPUs stay strangers.
    return Accelerator(cpu=not torch.accelerator.is_available(), mixed_precision="no")


def meet_processes() -> None:
    """Wait until every process that ``torchrun`` or ``accelerate launch`` started is here."""
    join_processes().wait_for_everyone()


def choose_precision(options: TrainOptions, device: torch.device) -> str:
    """Resolve ``auto``: bf16 where the hardware multiplies it, fp32 elsewhere."""
    if options.precision != "auto":
        return options.precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if cpu_flags() & {"avx512_bf16", "amx_bf16"} else "fp32"


def run_loop(
    module: nn.Module, setting: Setting, state: TrainState, checkpoint: Path, progress: Progress | None
) -> None:
    """Train until the last epoch, saving the state after each, and leave the best weights in the module.

    An epoch that was interrupted is done again as it was: all chance in it comes from the seed and the place.

    Args:
        module: Trained in place, on the accelerator's device.
        setting: What stays the same.
        state: Where it stands; empty, or loaded. Brought up to date after each epoch.
        checkpoint: Names the file of the state.
        progress: Told how far it is.

    Raises:
        ExpectationError: The loss is not finite; epoch, step and samples are named.
    """
    options, accelerator, lesson = setting.options, setting.accelerator, setting.lesson
    engine = _Engine.start(module, setting, state)
    curves = Curves(checkpoint, setting.options) if accelerator.is_main_process else None
    for epoch in range(len(state.history) + 1, options.epochs + 1):
        if is_out_of_patience(state, options):
            break
        started = time.monotonic()
        losses, rate = _run_epoch(engine, epoch, progress)
        _align(engine)
        score = lesson.judge(module, setting.held_out)
        top1 = score if lesson.metric == "top1" else None
        state.history.append(EpochRow(epoch, losses, rate, top1, time.monotonic() - started, score))
        engine.keep(state)
        if epoch >= lesson.first_epoch and score >= state.best_score:
            state.best_epoch, state.best_score, state.best_weights = epoch, score, state.weights
        if curves is not None:
            state.save(resume_path(checkpoint))
            curves.write(state.history)
        accelerator.wait_for_everyone()
    module.load_state_dict(state.best_weights)


def is_out_of_patience(state: TrainState, options: TrainOptions) -> bool:
    """Whether no epoch has been better for as long as the options say."""
    waited = len(state.history) - state.best_epoch if state.best_epoch else 0
    return 0 < options.patience <= waited


def make_optimizer(module: nn.Module, options: TrainOptions) -> torch.optim.Optimizer:
    """The optimizer; biases and normalisation (one dimension) do not decay."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if options.optimizer == "adamw":
        return torch.optim.AdamW(groups, options.learning_rate, betas=(options.momentum, 0.999))
    return torch.optim.SGD(groups, options.learning_rate, options.momentum, nesterov=options.momentum > 0)


def _run_epoch(engine: _Engine, epoch: int, progress: Progress | None) -> tuple[dict[str, float], float]:
    """One pass; chance depends on nothing but the seed and the place in the training."""
    setting = engine.setting
    options, accelerator = setting.options, setting.accelerator
    order = epoch_order(len(setting.train), options.seed, epoch)
    rate = 0.0
    sums: dict[str, float] = {}
    engine.shared.train()
    with torch.random.fork_rng():
        torch.manual_seed(generator_for(options.seed, epoch, accelerator.process_index).initial_seed())
        for step in range(setting.steps):
            done = (epoch - 1) * setting.steps + step
            rate = _set_rate(engine.optimizer, options, done, setting.total)
            start = (step * accelerator.num_processes + accelerator.process_index) * setting.share
            chosen = order[start : start + setting.share]
            losses = _run_step(engine, chosen, (epoch, step), done)
            sums = {name: sums.get(name, 0.0) + value for name, value in losses.items()}
            if progress is not None and accelerator.is_main_process:
                progress(done + 1, setting.total)
    return {name: value / setting.steps for name, value in sums.items()}, rate


def _run_step(engine: _Engine, chosen: Positions, place: tuple[int, int], done: int) -> dict[str, float]:
    """Move the weights once."""
    setting = engine.setting
    for hook in setting.lesson.hooks:
        hook.before_step(engine.module, done, setting.total)
    engine.optimizer.zero_grad()
    inputs = _inputs(setting, chosen, place)
    parts = np.array_split(np.arange(len(chosen)), min(setting.options.accumulate, len(chosen)))
    sums: dict[str, float] = {}
    for number, part in enumerate(parts, start=1):
        losses = _run_part(engine, inputs, chosen, part, place, is_last=number == len(parts))
        share = len(part) / len(chosen)
        sums = {name: sums.get(name, 0.0) + share * value for name, value in losses.items()}
    if setting.options.clip_norm:
        engine.scaler.unscale_(engine.optimizer)
        nn.utils.clip_grad_norm_(engine.shared.parameters(), setting.options.clip_norm)
    engine.scaler.step(engine.optimizer)
    engine.scaler.update()
    for hook in setting.lesson.hooks:
        hook.after_step(engine.module, done + 1, setting.total)
    return sums


def _run_part(
    engine: _Engine,
    inputs: Inputs,
    chosen: Positions,
    part: Positions,
    place: tuple[int, int],
    *,
    is_last: bool,
) -> dict[str, float]:
    """Add the gradient of a part of a step's samples."""
    setting, positions = engine.setting, torch.from_numpy(chosen[part])
    accelerator, dtype = setting.accelerator, _AUTOCAST[setting.precision]
    device, rows = accelerator.device, slice(int(part[0]), int(part[-1]) + 1)
    labels = None if engine.labels is None else engine.labels[positions].to(device)
    given = tuple(t[rows] for t in inputs)
    alone: AbstractContextManager[object] = nullcontext() if is_last else accelerator.no_sync(engine.shared)
    with alone:
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            outputs = _in_float32(engine.shared(*given))
            batch = Batch(given, labels, positions, engine.trained.taken_values())
            terms = setting.lesson.objective(outputs, batch)
        loss = torch.stack(list(terms.values())).sum()
        losses = _mean_losses({"total": loss, **terms}, accelerator)
        if not math.isfinite(losses["total"]):
            _refuse_loss(losses["total"], given, positions.numpy(), place)
        engine.scaler.scale(loss * (len(part) / len(chosen))).backward()  # type: ignore[no-untyped-call]
    return losses


def _in_float32(outputs: Outputs) -> Outputs:
    if isinstance(outputs, torch.Tensor):
        return outputs.float()
    return tuple(t.float() if t.is_floating_point() else t for t in outputs)


def _inputs(setting: Setting, chosen: Positions, place: tuple[int, int]) -> Inputs:
    inputs = read_samples(setting.train, chosen)
    generator = generator_for(setting.options.seed, *place, setting.accelerator.process_index)
    first = augment(inputs[0], setting.options, generator)
    return tuple(t.to(setting.accelerator.device) for t in (first, *inputs[1:]))


def _set_rate(optimizer: torch.optim.Optimizer, options: TrainOptions, done: int, total: int) -> float:
    rate = options.learning_rate * rate_factor(options.schedule, done, total, options.warmup_ratio)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def _mean_losses(terms: dict[str, torch.Tensor], accelerator: Accelerator) -> dict[str, float]:
    """Each term's mean over the processes: all of them see the same figures, and stop together."""
    means = accelerator.reduce(torch.stack([t.detach() for t in terms.values()]), "mean")
    return dict(zip(terms, means.tolist(), strict=True))


def _align(engine: _Engine) -> None:
    """Give every process the first one's weights and running statistics."""
    if engine.setting.accelerator.num_processes > 1:
        for module in (engine.module, engine.setting.lesson.aids):
            module.load_state_dict(broadcast(dict(module.state_dict())))


def _refuse_loss(loss: float, inputs: Inputs, chosen: Positions, place: tuple[int, int]) -> None:
    bad = [int(chosen[i]) for i in range(len(chosen)) if not all(torch.isfinite(t[i]).all() for t in inputs)]
    epoch, step = place
    where = (
        f"epoch {epoch}, step {step + 1} (batch of training samples {chosen[0]}, {chosen[-1]} and between)"
    )
    if bad:
        raise ExpectationError(
            f"the loss is {loss} at {where}: sample {bad[0]} is not finite",
            remedy="remove or repair that sample",
        )
    raise ExpectationError(
        f"the loss is {loss} at {where}, whose samples are finite",
        remedy="lower the learning rate, or use fp32",
    )
