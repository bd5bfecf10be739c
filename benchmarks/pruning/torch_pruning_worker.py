"""Prune a torch module with Torch-Pruning; runs in that peer's environment.

The job: ``network``, ``weights`` (safetensors), ``samples`` (npz), ``importance`` (``l2`` or ``taylor``), ``is_global``,
``round_to`` (or null), ``restate`` (whether statistics of batch normalisation are taken anew). Writes safetensors.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_pruning as tp
from aiming import Aim
from jobs import serve
from networks import INPUT_SHAPE, NETWORKS
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

_BATCH = 128


def prepare(job: dict[str, Any]) -> Callable[[str, Path], float]:
    """Load the module and, for Taylor, its gradients on the samples; both once for all shares."""
    module = NETWORKS[job["network"]]()
    module.load_state_dict(load_file(job["weights"]))
    module.eval()
    samples = np.load(job["samples"], allow_pickle=False)
    images, labels = torch.from_numpy(samples["images"]), torch.from_numpy(samples["labels"])
    start = time.monotonic()
    gradients = _gradients(module, images, labels) if job["importance"] == "taylor" else None
    before = time.monotonic() - start
    size = _size(module)

    def cut(ratio: float) -> tuple[nn.Module, float]:
        narrower = _cut(module, gradients, ratio, job)
        return narrower, _size(narrower) / size

    aim = Aim(cut)

    def perform(share: str, output: Path) -> float:
        trial = aim.closest(float(share))
        start = time.monotonic()
        narrower = copy.deepcopy(trial.result)
        if job["restate"]:
            _restate(narrower, images)
        seconds = before + trial.seconds + time.monotonic() - start
        state = {name: tensor.contiguous() for name, tensor in narrower.state_dict().items()}
        save_file(state, output)
        return seconds

    return perform


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _gradients(module: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor]:
    """The loss's gradient for each parameter, over all samples."""
    module.zero_grad()
    for some, right in zip(images.split(_BATCH), labels.split(_BATCH), strict=True):
        (functional.cross_entropy(module(some), right, reduction="sum") / len(images)).backward()
    return [p.grad.clone() for p in module.parameters() if p.grad is not None]


def _cut(
    module: nn.Module, gradients: list[torch.Tensor] | None, ratio: float, job: dict[str, Any]
) -> nn.Module:
    narrower = copy.deepcopy(module)
    if gradients is None:
        importance = tp.importance.GroupMagnitudeImportance(p=2)
    else:
        importance = tp.importance.GroupTaylorImportance()
        for parameter, gradient in zip(narrower.parameters(), gradients, strict=True):
            parameter.grad = gradient.clone()
    *_, classifier = (layer for layer in narrower.modules() if isinstance(layer, nn.Linear))
    pruner = tp.pruner.BasePruner(
        narrower,
        torch.zeros(INPUT_SHAPE),
        importance=importance,
        global_pruning=job["is_global"],
        pruning_ratio=ratio,
        round_to=job["round_to"],
        ignored_layers=[classifier],
    )
    pruner.step()
    narrower.zero_grad()
    return narrower


def _restate(module: nn.Module, images: torch.Tensor) -> None:
    """Take means and variances of every batch normalisation anew, averaged over the samples' batches."""
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None
    module.train()
    with torch.no_grad():
        for some in images.split(_BATCH):
            module(some)
    module.eval()


if __name__ == "__main__":
    serve(prepare)
