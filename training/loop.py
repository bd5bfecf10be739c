"""The one training loop; what is minimised is handed in."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
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
from .batches import Inputs, epoch_order, generator_for, labels_of, read_samples
from .evaluation import evaluate_top1
from .losses import Objective
from .options import TrainOptions
from .report import EpochRow
from .schedule import rate_factor
from .state import TrainState, own, resume_path

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""

Positions: TypeAlias = npt.NDArray[np.int64]
"""Which samples, shape ``(batch,)``."""


@dataclass(frozen=True)
class Setting:
    """What stays the same throughout a training.

    Attributes:
        train: The samples trained on.
        held_out: The samples that choose the best epoch.
        options: The options.
        objective: What is minimised.
        accelerator: Where it runs, and with whom.
        precision: ``fp32`` or ``bf16``.
    """

    train: CalibrationData
    held_out: CalibrationData
    options: TrainOptions
    objective: Objective
    accelerator: Accelerator
    precision: str

    @property
    def share(self) -> int:
        """Samples of one step in each process."""
        return min(self.options.batch_size, len(self.train)) // int(self.accelerator.num_processes)

    @property
    def steps(self) -> int:
        """Steps of one epoch; samples that fill no whole batch wait for another epoch's order."""
        return len(self.train) // (self.share * int(self.accelerator.num_processes))


def make_accelerator(options: TrainOptions) -> Accelerator:
    """One process, or however many ``torchrun`` or ``accelerate launch`` started.

    Raises:
        UsageError: The batch does not divide among the processes.
    """
    # Autocast is ours, so that no state outlives a training. Without cpu=True, processes on CPUs stay strangers.
    accelerator = Accelerator(cpu=not torch.accelerator.is_available(), mixed_precision="no")
    if options.batch_size % accelerator.num_processes:
        raise UsageError(
            f"batch_size {options.batch_size} does not divide among {accelerator.num_processes} processes",
            remedy="choose a multiple of the number of processes",
        )
    return accelerator


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

    Args:
        module: Trained in place, on the accelerator's device.
        setting: What stays the same.
        state: Where it stands; empty, or loaded. Brought up to date after each epoch.
        checkpoint: Names the file of the state.
        progress: Told how far it is.

    Raises:
        ExpectationError: The loss is not finite; epoch, step and samples are named.
    """
    options, accelerator = setting.options, setting.accelerator
    optimizer = make_optimizer(module, options)
    if state.history:
        module.load_state_dict(state.weights)
        optimizer.load_state_dict(state.optimizer)
    prepared, optimizer = accelerator.prepare(module, optimizer)
    for epoch in range(len(state.history) + 1, options.epochs + 1):
        started = time.monotonic()
        losses, rate = _run_epoch(prepared, optimizer, setting, epoch, progress)
        _align(module, accelerator)
        top1 = evaluate_top1(module, setting.held_out)
        state.history.append(EpochRow(epoch, losses, rate, top1, time.monotonic() - started))
        state.weights = {name: own(t) for name, t in module.state_dict().items()}
        state.optimizer = optimizer.state_dict()
        if top1 >= state.best_top1_ratio:
            state.best_epoch, state.best_top1_ratio, state.best_weights = epoch, top1, state.weights
        if accelerator.is_main_process:
            state.save(resume_path(checkpoint))
        accelerator.wait_for_everyone()
    module.load_state_dict(state.best_weights)


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


def _run_epoch(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    setting: Setting,
    epoch: int,
    progress: Progress | None,
) -> tuple[dict[str, float], float]:
    """One pass; chance depends on nothing but the seed and the place in the training."""
    options, accelerator = setting.options, setting.accelerator
    order = epoch_order(len(setting.train), options.seed, epoch)
    labels = labels_of(setting.train, "training")
    total, rate = options.epochs * setting.steps, 0.0
    sums: dict[str, float] = {}
    module.train()
    with torch.random.fork_rng():
        torch.manual_seed(generator_for(options.seed, epoch, accelerator.process_index).initial_seed())
        for step in range(setting.steps):
            done = (epoch - 1) * setting.steps + step
            rate = _set_rate(optimizer, options, done, total)
            start = (step * accelerator.num_processes + accelerator.process_index) * setting.share
            chosen = order[start : start + setting.share]
            losses = _run_step(module, optimizer, setting, chosen, labels, (epoch, step))
            sums = {name: sums.get(name, 0.0) + value for name, value in losses.items()}
            if progress is not None and accelerator.is_main_process:
                progress(done + 1, total)
    return {name: value / setting.steps for name, value in sums.items()}, rate


def _run_step(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    setting: Setting,
    chosen: Positions,
    labels: torch.Tensor,
    place: tuple[int, int],
) -> dict[str, float]:
    accelerator = setting.accelerator
    inputs = _inputs(setting, chosen, place)
    with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=setting.precision == "bf16"):
        logits = module(*inputs)
        terms = setting.objective(
            logits.float(), labels[torch.from_numpy(chosen)].to(accelerator.device), inputs
        )
    loss = torch.stack(list(terms.values())).sum()
    losses = _mean_losses({"total": loss, **terms}, accelerator)
    if not math.isfinite(losses["total"]):
        _refuse_loss(losses["total"], inputs, chosen, place)
    optimizer.zero_grad()
    accelerator.backward(loss)
    optimizer.step()
    return losses


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


def _align(module: nn.Module, accelerator: Accelerator) -> None:
    """Give every process the first one's weights and running statistics."""
    if accelerator.num_processes > 1:
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
